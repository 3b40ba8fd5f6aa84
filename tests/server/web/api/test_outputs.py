"""The call about outputs, and where else they are shown, against a real server."""

from __future__ import annotations

from tests.support.live_server import Live
from tests.support.stored import NOW, finish, started
from tests.support.stored import running as run_job

NONE = {"attempt": 1, "outputs": {}, "warning": None}


async def test_outputs_of_a_job(live: Live) -> None:
    key = await run_job(live.services.store, "a")
    place = f"/jobs/{key.job}"
    assert (await live.get(f"{place}/outputs")).body == NONE
    assert (await live.get(place)).body["outputs"] == {}
    given = {"version": "1.2", "notes": "<b>\n& more"}
    await finish(live.services.store, key, 1, outputs=given, outputs_warning="line 3 is odd")
    shown = (await live.get(f"{place}/outputs")).body
    assert shown == {"attempt": 1, "outputs": given, "warning": "line 3 is odd"}
    view = (await live.get(place)).body
    assert (view["outputs"], view["outputs_warning"]) == (given, "line 3 is odd")
    (listed,) = (await live.get("/jobs?state=failed")).body["items"]
    assert (listed["outputs"], listed["outputs_warning"]) == ({}, None), "not in lists"
    refused = (await live.get(f"{place}/outputs?attempt=2")).problem(404, "not_found")
    assert "attempt of job" in refused["detail"]
    (await live.get(f"{place}/outputs?attempt=0")).problem(422, "validation")
    (await live.get("/jobs/01ARYZ6S410000000000000000/outputs")).problem(404, "not_found")


async def test_the_last_attempt_gives_the_jobs_own(live: Live) -> None:
    store = live.services.store
    first = await run_job(store, "a", max_attempts=2, retry_on=["exit"], retry_backoff=0)
    place = f"/jobs/{first.job}"
    await finish(store, first, 1, outputs={"a": "1"})
    waiting = (await live.get(place)).body
    assert (waiting["state"], waiting["outputs"]) == ("queued", {}), "another one may give others"
    assert (await live.get(f"{place}/outputs")).body["outputs"] == {"a": "1"}
    await store.release_due(NOW)
    (lease,) = await store.assign([(first.job, "a")], NOW)
    await finish(store, await started(store, lease), 0)
    assert (await live.get(place)).body["outputs"] == {}
    assert (await live.get(f"{place}/outputs")).body == {**NONE, "attempt": 2}
    assert (await live.get(f"{place}/outputs?attempt=1")).body["outputs"] == {"a": "1"}


async def test_before_the_first_attempt(live: Live) -> None:
    job = (await live.post("/jobs", {"command": ["true"]})).body["id"]
    assert (await live.get(f"/jobs/{job}/outputs")).body == {**NONE, "attempt": 0}
