"""Batches: bounded work, bounded answers, nothing stored where something is wrong."""

from __future__ import annotations

import json

import pytest

from remote_protocol.limits import MAX_BATCH_BODY, MAX_BATCH_JOBS, MAX_FILES_SIZE
from remote_protocol.spec import JobSpec
from remote_server.store import specifications
from remote_server.web.api.batches import parse_batch
from remote_server.web.http.problems import ApiProblem
from tests.support.live_server import Live

TRUE = {"command": ["true"]}


async def test_a_batch_is_what_its_jobs_are() -> None:
    jobs = [TRUE, {**TRUE, "timeout": "1h", "labels": {"a": "b"}, "retry_on": ["lost"]}]
    batch = await parse_batch(json.dumps({"jobs": jobs}).encode())
    assert batch.atomic
    assert [spec.timeout for spec in batch.jobs if isinstance(spec, JobSpec)] == [None, 3600]


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "not JSON"),
        (b'{"jobs":[{"command":["true"],"weight":NaN}]}', 400, "not JSON"),
        (b"[" * 5000, 400, "not JSON"),
        (b'{"jobs":[{"command":["\\ud800"]}]}', 400, "not JSON"),
        (b"[]", 422, "not an object"),
        (b"{}", 422, "not a list"),
        (b'{"jobs":[]}', 422, "0 jobs"),
        (b'{"jobs":{},"x":1}', 422, "x: unknown field"),
        (b'{"jobs":[{"command":["a"]}],"atomic":1}', 422, "atomic: is neither true nor false"),
        (b'{"jobs":[],"atomic":false}', 422, "0 jobs"),
        (b'{"jobs":[{"command":["a"]},7]}', 422, "jobs.1"),
        (b'{"jobs":[{"command":[]}]}', 422, "jobs.0: give a command"),
        (json.dumps({"jobs": [TRUE] * (MAX_BATCH_JOBS + 1)}).encode(), 422, "2001 jobs"),
        (b'{"jobs":[' + b"{}," * 100_000 + b"{}]}", 422, "values"),
    ],
)
async def test_what_is_no_batch(body: bytes, status: int, said: str) -> None:
    with pytest.raises(ApiProblem) as caught:
        await parse_batch(body)
    assert caught.value.status == status
    assert said in caught.value.detail


@pytest.fixture
def attacks() -> list[str]:
    """Bodies with thousands of faults: made outside the loop whose holds the test counts."""
    unknown = {f"field{n}": n for n in range(90)}
    return [
        json.dumps({"jobs": [{**TRUE, **unknown}] * 2000}),
        json.dumps({"jobs": [{**TRUE, "env": {f"9{n}": "x" for n in range(4000)}}] * 40}),
        json.dumps({"jobs": [{**TRUE, "env": {f"N{n}": n for n in range(4000)}}] * 40}),
        json.dumps({"jobs": [{"command": [1] * 9000}] * 20}),
        json.dumps({"jobs": [{**TRUE, **unknown}] * 2000, "atomic": False}),
        '{"jobs":[' + "{}," * 190_000 + "{}]}",
        '{"jobs":[{' + ",".join(f'"x{n}":1' for n in range(190_000)) + "}]}",
        '{"jobs":['
        + ",".join('{"command":["a"],"x":[' + "[]," * 90 + "0]}" for _ in range(1999))
        + "]}",
        json.dumps({**TRUE, "env": {f"N{n}": n for n in range(9999)}}),
    ]


async def test_thousands_of_faults_hold_nobody_up(attacks: list[str], live: Live) -> None:
    *batches, job = attacks
    for body in batches:
        answer = await live.post("/jobs/batch", body)
        if "atomic" in body:
            assert answer.status == 200 and answer.body["ids"] == []
            assert {one["status"] for one in answer.body["results"]} == {422}
            assert len(answer.text) < 2_200_000
            continue
        problem = answer.problem(422, "validation")
        assert len(problem["errors"]) <= 50
        assert len(answer.text) < 60_000
    for body in (batches[6][9:-2], job):
        answer = await live.post("/jobs", body)
        assert len(answer.problem(422, "validation")["errors"]) <= 50
    held = [hold for hold in live.server.watchdog.holds if hold.cpu > 0.5]
    assert held == []


async def test_a_large_batch_holds_nobody_up(live: Live) -> None:
    job = {"shell": "sh", "script": "echo 'a,{[\n" * 600, "env": {"A": "b" * 500}}
    answer = await live.post("/jobs/batch", {"jobs": [job] * 2000})
    assert answer.status == 201, answer.text
    assert len(answer.body["ids"]) == 2000
    assert [hold for hold in live.server.watchdog.holds if hold.cpu > 0.5] == []


async def test_what_no_offer_can_carry_is_refused_by_every_call(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = {"shell": "bash", "script": "\x01" * 30_000}
    old = (await live.post("/jobs", big)).body["id"]
    await live.post(f"/jobs/{old}/cancel")
    monkeypatch.setattr(specifications, "MAX_OFFERED", 150_000)
    said = [
        await live.post("/jobs", big),
        await live.post("/jobs/batch", {"jobs": [TRUE, big]}),
        await live.post(f"/jobs/{old}/retry"),
    ]
    for answer, which in zip(said, ("the job", "job 2 of the batch", "the job"), strict=True):
        detail = answer.problem(422, "validation")["detail"]
        assert detail.startswith(f"{which} has 18") and "150000" in detail
    assert [job["id"] for job in (await live.get("/jobs")).body["items"]] == [old]
    fits = {**big, "script": "\x01" * 20_000}
    assert (await live.post("/jobs", fits)).status == 201


async def test_a_job_that_fills_a_batch_but_no_offer(live: Live) -> None:
    job = {
        "shell": "bash",
        "script": "",
        "files": [{"path": "a", "content": "AAAA" * (MAX_FILES_SIZE // 3)}],
        "env": dict.fromkeys("EFGH", "\x02" * 100000),
    }
    text = json.dumps({"jobs": [job]})
    # What is left of the largest batch: one byte more would be too much for its body.
    left = (MAX_BATCH_BODY - len(text)) // 6
    body = text.replace('"script": ""', '"script": "' + "\\u0001" * left + '"')
    assert MAX_BATCH_BODY - 6 < len(body) <= MAX_BATCH_BODY
    detail = (await live.post("/jobs/batch", body)).problem(422, "validation")["detail"]
    assert "as JSON" in detail


async def test_each_job_of_a_batch_that_is_not_atomic_is_judged_alone(live: Live) -> None:
    keyed = {**TRUE, "idempotency_key": "known"}
    known = (await live.post("/jobs", keyed)).body["id"]
    jobs = [
        TRUE,
        {"command": []},
        {**TRUE, "queue": "nowhere"},
        keyed,
        {"command": ["false"], "idempotency_key": "known"},
        {**TRUE, "agent": "nobody"},
        {**TRUE, "private_input": True},
        {**TRUE, "files": [{"path": "a", "digest": "0" * 64, "size": 1}], "idempotency_key": "k"},
        {**TRUE, "private_input": "hush", "idempotency_key": "k"},
    ]
    first = await live.post("/jobs/batch", {"jobs": jobs, "atomic": False})
    assert first.status == 200, first.text
    results = first.body["results"]
    said = [(one["status"], one["code"]) for one in results]
    assert said == [
        (None, None),
        (422, "validation"),
        (422, "unknown_queue"),
        (None, None),
        (409, "conflict"),
        (422, "unknown_agent"),
        (422, "validation"),
        (422, "content_missing"),
        (None, None),
    ]
    assert results[3]["id"] == known and first.body["ids"] == [
        one["id"] for one in results if one["id"]
    ]
    details = [one["detail"] for one in results]
    assert details[1].startswith("give a command") and details[0] == ""
    assert details[2].startswith("there is no queue 'nowhere'") and "default" in details[2]
    assert details[6] == "private_input: is the text itself; true stands for it in answers only"
    # Only the two that were made are there, and those with keys are found again.
    listed = (await live.get("/jobs")).body["items"]
    assert {job["id"] for job in listed} == {known, results[0]["id"], results[8]["id"]}
    again = await live.post("/jobs/batch", {"jobs": jobs[3:], "atomic": False})
    assert again.body["ids"] == [known, results[8]["id"]]
    assert len((await live.get("/jobs")).body["items"]) == 3
    assert await live.services.vault.private_input(results[8]["id"]) == ("hush", "")


async def test_a_batch_of_good_or_of_bad_ones_only(live: Live) -> None:
    good = await live.post("/jobs/batch", {"jobs": [TRUE] * 3, "atomic": False})
    assert good.status == 201 and len(set(good.body["ids"])) == 3
    assert [one["id"] for one in good.body["results"]] == good.body["ids"]
    bad = await live.post("/jobs/batch", {"jobs": [{}, {"queue": 7}], "atomic": False})
    assert (bad.status, bad.body["ids"]) == (200, [])
    atomic = await live.post("/jobs/batch", {"jobs": [TRUE], "atomic": True})
    assert atomic.body["results"] is None
    entries = (await live.get("/audit?action=job.submit")).body["items"]
    assert sorted(entry["detail"].get("jobs", 1) for entry in entries) == [1, 3]


async def test_what_no_offer_can_carry_does_not_keep_the_others(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(specifications, "MAX_OFFERED", 150_000)
    big = {"shell": "bash", "script": "\x01" * 30_000}
    answer = await live.post("/jobs/batch", {"jobs": [TRUE, big], "atomic": False})
    made, refused = answer.body["results"]
    assert made["id"] and refused["code"] == "validation"
    assert refused["detail"].startswith("the job has 18")
