"""The calls about inputs, against a real server."""

from __future__ import annotations

from io import BytesIO

import pytest

from remote_protocol.limits import MAX_INPUT_PART
from tests.support.live_server import Answer, Live
from tests.support.stored import finish
from tests.support.stored import running as run_job

CAT = {"command": ["cat"], "stdin": True}


async def send(
    live: Live,
    job: str,
    offset: int,
    part: bytes = b"",
    end: bool = False,
    token: str | None = None,
) -> Answer:
    query = f"?offset={offset}" + ("&end=true" if end else "")
    # Large bodies are given as files: the client would warn of anything else.
    return await live.ask("PATCH", f"/jobs/{job}/input{query}", None, token, data=BytesIO(part))


async def submit(live: Live) -> str:
    return str((await live.post("/jobs", CAT)).body["id"])


async def test_an_input_is_sent_in_parts_and_shown(live: Live) -> None:
    job = await submit(live)
    shown = (await live.get(f"/jobs/{job}")).body
    assert (shown["stdin"], shown["input"]) == (True, {"size": 0, "state": "open", "ttl": 600.0})
    assert (await send(live, job, 0, b"\xff\0a")).body == {"size": 3, "state": "open", "ttl": 600.0}
    assert (await send(live, job, 0, b"\xff\0a")).body == {"size": 3, "state": "open", "ttl": 600.0}
    assert (await live.get(f"/jobs/{job}/input")).body == {"size": 3, "state": "open", "ttl": 600.0}
    gap = (await send(live, job, 4, b"x")).problem(409, "input_gap")
    assert "has 3 bytes" in gap["detail"]
    assert (await send(live, job, 3)).body["size"] == 3, "nothing more for now"
    ended = {"size": 4, "state": "ended", "ttl": None}
    assert (await send(live, job, 3, b"b", end=True)).body == ended
    assert (await send(live, job, 3, b"b", end=True)).status == 200, "an answer may get lost"
    (await send(live, job, 4, b"c")).problem(409, "conflict")
    assert (await live.get(f"/jobs/{job}")).body["input"] == ended
    entries = (await live.get(f"/jobs/{job}/timeline")).body["items"]
    assert [e["detail"] for e in entries if e["what"] == "input_ended"] == ["4 bytes"]


async def test_only_a_job_that_takes_an_input_gets_one(live: Live) -> None:
    job = (await live.post("/jobs", {"command": ["true"]})).body
    assert (job["stdin"], job["input"]) == (False, None)
    refused = (await send(live, job["id"], 0, b"x")).problem(409, "conflict")
    assert "takes no input" in refused["detail"]
    (await live.get(f"/jobs/{job['id']}/input")).problem(409, "conflict")
    (await send(live, "01ARYZ6S410000000000000000", 0)).problem(404, "not_found")


async def test_the_input_of_an_ended_job_is_gone(live: Live) -> None:
    await live.register("a")
    key = await run_job(live.services.store, stdin=True)
    await send(live, key.job, 0, b"abc")
    await finish(live.services.store, key)
    assert "has ended" in (await send(live, key.job, 3, b"d")).problem(409, "conflict")["detail"]
    assert live.services.inputs.look(key.job) is None
    assert (await live.get(f"/jobs/{key.job}")).body["input"] is None
    again = await live.post(f"/jobs/{key.job}/retry")
    assert "kept no longer" in again.problem(409, "conflict")["detail"]


async def test_who_may_only_look_may_not_send(live: Live) -> None:
    job = await submit(live)
    viewer = await live.token_for("viewer")
    (await send(live, job, 0, b"x", token=viewer)).problem(403, "forbidden")
    (await live.get(f"/jobs/{job}/input", viewer)).problem(403, "forbidden")
    (await send(live, job, 0, b"x", token="")).problem(401, "missing_token")


async def test_only_the_submitter_and_admins_send(live: Live) -> None:
    mine, other = await live.token_for("operator"), await live.token_for("operator")
    job = str((await live.post("/jobs", CAT, mine)).body["id"])
    assert (await send(live, job, 0, b"a", token=mine)).body["size"] == 1
    refused = (await send(live, job, 1, b"b", token=other)).problem(403, "forbidden")
    assert "operator-0" in refused["detail"]
    (await live.get(f"/jobs/{job}/input", other)).problem(403, "forbidden")
    assert (await send(live, job, 1, b"c")).body["size"] == 2, "an admin"


@pytest.mark.parametrize(
    "query", ["", "?offset=-1", "?offset=x", f"?offset={1 << 63}", "?offset=0&end=maybe"]
)
async def test_bad_offsets_are_refused(live: Live, query: str) -> None:
    job = await submit(live)
    (await live.ask("PATCH", f"/jobs/{job}/input{query}", b"x")).problem(422, "validation")
    assert live.services.inputs.look(job).size == 0


async def test_parts_and_inputs_are_bounded(live: Live) -> None:
    job = await submit(live)
    whole = await send(live, job, 0, bytes(MAX_INPUT_PART + 1))
    whole.problem(413, "body_too_large")
    assert (await send(live, job, 0, bytes(MAX_INPUT_PART))).status == 200
    live.services.inputs._largest = MAX_INPUT_PART
    large = (await send(live, job, MAX_INPUT_PART, b"x")).problem(413, "body_too_large")
    assert "max_job_input" in large["detail"]


async def test_the_document_tells_of_the_bytes(live: Live) -> None:
    document = (await live.get("/openapi.json")).body
    call = document["paths"]["/api/v1/jobs/{id}/input"]["patch"]
    assert list(call["requestBody"]["content"]) == ["application/octet-stream"]
