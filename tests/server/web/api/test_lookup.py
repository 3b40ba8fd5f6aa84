"""Many jobs in one call."""

from __future__ import annotations

from tests.support.live_server import Live

NONE = "01ARZ3NDEKTSV4RRFFQ69G5FAX"
JOB = {"command": ["true"], "env": {"A": "b"}}


async def test_jobs_are_shown_by_ids_and_by_keys(live: Live) -> None:
    first = (await live.post("/jobs", JOB)).body["id"]
    second = (await live.post("/jobs", {**JOB, "idempotency_key": "k"})).body["id"]
    answer = await live.post(
        "/jobs/lookup",
        {"ids": [first, NONE, NONE], "idempotency_keys": ["k", "other"]},
    )
    assert answer.status == 200
    assert [job["id"] for job in answer.body["items"]] == [first, second]
    assert answer.body["items"][0]["env"] == {"A": "b"}
    assert answer.body["items"][0]["pending_reason"]
    assert answer.body["keys"] == {"k": second}
    assert answer.body["missing_ids"] == [NONE] and answer.body["missing_keys"] == ["other"]


async def test_what_is_asked_for_is_bounded(live: Live) -> None:
    (await live.post("/jobs/lookup", {"ids": [NONE] * 501})).problem(422, "validation")
    (await live.post("/jobs/lookup", {"ids": ["odd"]})).problem(422, "validation")
    (await live.post("/jobs/lookup", {"idempotency_keys": [""]})).problem(422, "validation")
    empty = (await live.post("/jobs/lookup", {})).body
    assert empty == {"items": [], "keys": {}, "missing_ids": [], "missing_keys": []}
