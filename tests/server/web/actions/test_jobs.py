"""What users do with jobs, beyond one call of the store; the API's tests go through it, too."""

from __future__ import annotations

from tests.support.live_server import Live


async def test_only_an_ended_job_is_repeated(live: Live) -> None:
    job = (await live.post("/jobs", {"command": ["true"]})).body["id"]
    assert (
        "has not ended"
        in (await live.post(f"/jobs/{job}/retry")).problem(409, "conflict")["detail"]
    )
    await live.post(f"/jobs/{job}/cancel")
    again = await live.post(f"/jobs/{job}/retry")
    assert again.status == 201 and again.body["id"] != job


async def test_a_cancel_says_by_whom(live: Live) -> None:
    job = (await live.post("/jobs", {"command": ["true"]})).body["id"]
    ended = (await live.post(f"/jobs/{job}/cancel")).body
    assert ended["end_detail"].endswith("cancelled by first-admin")
