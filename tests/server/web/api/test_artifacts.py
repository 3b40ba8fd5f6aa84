"""The calls about artifacts, against a real server: lists, whole files, ranges, refusals."""

from __future__ import annotations

import hashlib
import os
from typing import Any

from remote_protocol.artifacts import ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Artifact, ArtifactLost
from tests.support.live_server import Live
from tests.support.stored import NOW, finish
from tests.support.stored import running as run_job

DATA = os.urandom(600_000)


async def give(
    live: Live, key: AttemptId, number: int, name: str, data: bytes, agent: str = "a"
) -> None:
    """Have an artifact arrive, as an agent's link does."""
    services = live.services
    message = Artifact(
        attempt=key,
        number=number,
        name=name,
        size=len(data),
        checksum=hashlib.sha256(data).hexdigest(),
    )
    known = await services.store.announce_artifact(agent, message, 1 << 30, NOW)
    assert known.state is ArtifactState.UPLOADING
    if data:
        services.artifacts.append(key, number, 0, memoryview(data))
    await services.artifacts.finish(key, number)
    await services.store.end_artifact(key, number, ArtifactState.COMPLETE, "", NOW)


async def with_artifacts(live: Live) -> str:
    """A job that gave four files back: one whole, one empty, one on its way, one lost."""
    store = live.services.store
    key = await run_job(store)
    await finish(store, key, artifacts=4, artifacts_warning="a link was left out")
    await give(live, key, 1, "d/<b> ü", DATA)
    await give(live, key, 2, "empty", b"")
    open_ = Artifact(attempt=key, number=3, name="open", size=9, checksum="0" * 64)
    await store.announce_artifact("a", open_, 1 << 30, NOW)
    lost = ArtifactLost(attempt=key, number=4, name="lost", reason="it is gone")
    await store.announce_artifact("a", lost, 1 << 30, NOW)
    return key.job


async def fetch(live: Live, path: str, **headers: str) -> tuple[int, Any, bytes]:
    async with live.open("GET", path, headers=headers) as answer:
        return answer.status, answer.headers.copy(), await answer.read()


async def test_the_list(live: Live) -> None:
    job = await with_artifacts(live)
    found = (await live.get(f"/jobs/{job}/artifacts")).body
    assert (found["attempt"], found["expected"], found["complete"]) == (1, 4, False)
    assert found["warning"] == "a link was left out"
    by_name: dict[str, Any] = {one["name"]: one for one in found["items"]}
    assert by_name["d/<b> ü"]["sha256"] == hashlib.sha256(DATA).hexdigest()
    assert [one["state"] for one in found["items"]] == [
        "complete",
        "complete",
        "uploading",
        "failed",
    ]
    assert by_name["lost"]["reason"] == "it is gone"
    assert (await live.get(f"/jobs/{job}")).body["artifacts"] == 4
    plain = (await live.post("/jobs", {"command": ["true"]})).body["id"]
    nothing: dict[str, Any] = {
        "attempt": 0,
        "expected": 0,
        "complete": True,
        "warning": None,
        "items": [],
    }
    assert (await live.get(f"/jobs/{plain}/artifacts")).body == nothing
    (await live.get(f"/jobs/{job}/artifacts?attempt=2")).problem(404, "not_found")


async def test_a_file_whole_and_by_parts(live: Live) -> None:
    path = f"/jobs/{await with_artifacts(live)}/artifacts/d/%3Cb%3E%20%C3%BC"
    status, headers, body = await fetch(live, path)
    assert (status, body) == (200, DATA)
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''%3Cb%3E%20%C3%BC"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert headers["Content-Type"] == "application/octet-stream"
    tag = headers["ETag"]
    assert (await fetch(live, f"{path}?offset=599990"))[2] == DATA[-10:]
    assert (await fetch(live, f"{path}?offset=600000"))[2] == b""
    status, headers, body = await fetch(live, path, Range="bytes=10-19")
    assert (status, body) == (206, DATA[10:20])
    assert headers["Content-Range"] == "bytes 10-19/600000"
    ranged = {"Range": "bytes=599999-", "If-Range": tag}
    assert (await fetch(live, path, **ranged))[::2] == (206, DATA[-1:])
    assert (await fetch(live, path, **{**ranged, "If-Range": '"other"'}))[::2] == (200, DATA)
    for odd in ("bytes=5-2", "bytes=-5", "lines=1-2", "bytes=0-1,3-4", "bytes=" + "9" * 500):
        assert (await fetch(live, path, Range=odd))[::2] == (200, DATA)
    (await live.get(path, headers={"Range": "bytes=600000-"})).problem(400, "bad_request")
    (await live.get(f"{path}?offset=600001")).problem(400, "bad_request")


async def test_an_empty_file(live: Live) -> None:
    path = f"/jobs/{await with_artifacts(live)}/artifacts/empty"
    assert (await fetch(live, path))[::2] == (200, b"")


async def test_a_file_that_is_not_there_is_a_problem_and_no_broken_answer(live: Live) -> None:
    """As after a backup was restored without it."""
    job = await with_artifacts(live)
    path = f"/jobs/{job}/artifacts/d/%3Cb%3E%20%C3%BC"
    assert (await fetch(live, path))[0] == 200
    await live.services.artifacts.delete(job)
    (await live.get(path)).problem(503, "store_unavailable")


async def test_what_cannot_be_had(live: Live) -> None:
    place = f"/jobs/{await with_artifacts(live)}/artifacts"
    assert (
        "still being uploaded"
        in (await live.get(f"{place}/open")).problem(409, "conflict")["detail"]
    )
    assert "it is gone" in (await live.get(f"{place}/lost")).problem(409, "conflict")["detail"]
    for name in ("no", "..%2f..%2fserver.db", "%2e%2e/%2e%2e/server.db", "d", "a%00", "x" * 2_000):
        (await live.get(f"{place}/{name}")).problem(404, "not_found")
    (await live.get(f"{place}/open", "")).problem(401, "missing_token")
    (await live.get("/jobs/01ARYZ6S410000000000000000/artifacts/a")).problem(404, "not_found")


async def test_a_viewer_may_fetch(live: Live) -> None:
    job = await with_artifacts(live)
    token = await live.token_for("viewer")
    answer = await live.get(f"/jobs/{job}/artifacts/empty", token)
    assert answer.status == 200
