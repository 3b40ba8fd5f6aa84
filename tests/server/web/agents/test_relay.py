"""`POST /agent/relay/{attempt}`: whose requests are passed on, while which attempt runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.messages import Accept, Started
from remote_server.config import load
from tests.support.behind_relay import BehindRelay
from tests.support.live_server import Answer, Live, running


@pytest.fixture
def behind() -> Iterator[BehindRelay]:
    with BehindRelay() as program:
        yield program


@pytest.fixture
async def live(tmp_path: Path, behind: BehindRelay) -> AsyncIterator[Live]:
    """A server with a relay."""
    file = tmp_path / "server.toml"
    file.write_text(
        f'[relay.api]\nurl = "{behind.url}"\nprefix = "/items/"\nqueues = ["default"]\n'
    )
    flags = {"listen": "127.0.0.1:0", "data_dir": tmp_path / "data", "durability": "normal"}
    async with running(load(file, {}, flags)) as found:
        yield found


async def ask(
    live: Live, attempt: str, token: str, target: str = "/items/a", body: Any = b"", **more: str
) -> Answer:
    headers = {"Relayed-Method": "GET", "Relayed-Target": target, **more}
    return await live.post(f"/agent/relay/{attempt}", body, token, headers=headers)


async def relayed(live: Live) -> dict[str, float]:
    """What is counted of relays, by the ends of the metrics' names."""
    begin = "remote_relay_"
    text = (await live.get("/metrics")).text
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(begin)]
    return {name.removeprefix(begin): float(value) for name, value in lines}


async def test_it_is_for_the_agent_that_runs_the_attempt(live: Live, behind: BehindRelay) -> None:
    token, other = await live.register("a"), await live.register("b")
    async with live.connect(token) as link:
        job = (await live.post("/jobs", {"command": ["x"], "relay": "api", "agent": "a"})).body
        offer = await link.until("offer")
        attempt = str(offer.attempt)
        assert attempt == f"{job['id']}.1"
        early = await ask(live, attempt, token)
        assert "does not run" in early.problem(403, "forbidden")["detail"]
        await link.send(Accept(attempt=offer.attempt, serial=offer.serial))
        await link.until("confirm")
        await link.send(Started(attempt=offer.attempt, pid=1, at=1.0))
        good = await ask(live, attempt, token)
        assert (good.status, good.headers["Relayed-Status"], good.text) == (
            200,
            "200",
            "GET /items/a",
        )
        assert (
            good.headers["Relayed-X-Own"] == "passes" and "Relayed-Set-Cookie" not in good.headers
        )
        (await ask(live, attempt, other)).problem(403, "forbidden")
        (await ask(live, attempt, live.token)).problem(403, "wrong_token_kind")
        (await ask(live, f"{job['id']}.2", token)).problem(403, "forbidden")
        (await ask(live, "no-attempt", token)).problem(404, "not_found")
        (await ask(live, attempt, token, "/items/../b")).problem(403, "forbidden")
        (await ask(live, attempt, token, "/b")).problem(403, "forbidden")
        many = {"Relayed-Method": "TRACE"}
        (await ask(live, attempt, token, **many)).problem(400, "bad_request")
        sent = await ask(live, attempt, token, body=b"some", **{"Relayed-Method": "POST"})
        assert sent.text == "some"
        large = {"Content-Length": str(65 << 20)}
        assert len(behind.asked) == 2
        head = [f"{name}: {value}".encode() for name, value in large.items()]
        status = await live.head(
            f"/api/v1/agent/relay/{attempt}".encode(),
            f"Authorization: Bearer {token}".encode(),
            b"Relayed-Method: PUT",
            b"Relayed-Target: /items/a",
            *head,
            method=b"POST",
        )
        assert status == 413
    # Without a link the database knows.
    assert (await ask(live, attempt, token)).status == 200
    (await ask(live, attempt, other)).problem(403, "forbidden")
    await live.post(f"/jobs/{job['id']}/cancel", {})
    unknown = "01ARZ3NDEKTSV4RRFFQ69G5FAX.1"
    (await ask(live, unknown, token)).problem(403, "forbidden")
    # Whose request it is not is no request of the relay.
    counted = await relayed(live)
    assert counted == {
        'requests_total{relay="api"}': 5,
        'bytes_total{relay="api",direction="request"}': len("some"),
        'bytes_total{relay="api",direction="response"}': len("GET /items/a") * 2 + len("some"),
        'failures_total{relay="api",reason="forbidden"}': 2,
        'failures_total{relay="api",reason="relay_failed"}': 0,
        'failures_total{relay="api",reason="relay_timeout"}': 0,
    }


async def test_a_program_that_is_away_is_a_502(live: Live, behind: BehindRelay) -> None:
    token = await live.register("a")
    async with live.connect(token) as link:
        await live.post("/jobs", {"command": ["x"], "relay": "api"})
        offer = await link.until("offer")
        await link.send(Accept(attempt=offer.attempt, serial=offer.serial))
        await link.until("confirm")
        behind.close()
        away = await ask(live, str(offer.attempt), token)
        assert "cannot be reached" in away.problem(502, "relay_failed")["detail"]
    assert (await relayed(live))['failures_total{relay="api",reason="relay_failed"}'] == 1


async def test_who_may_submit_such_a_job(live: Live) -> None:
    job = {"command": ["x"], "relay": "api"}
    (await live.post("/jobs", job, await live.token_for("viewer"))).problem(403, "forbidden")
    assert (await live.post("/jobs", job, await live.token_for("operator"))).status == 201
    await live.post("/queues", {"name": "other"})
    for path, body in (
        ("/jobs", {**job, "queue": "other"}),
        ("/jobs/batch", {"jobs": [job, {**job, "queue": "other"}]}),
        ("/groups", {"spec": {**job, "queue": "other"}}),
    ):
        said = (await live.post(path, body)).problem(422, "validation")
        assert "not for jobs in the queue 'other'" in said["detail"], path
    mixed = {"atomic": False, "jobs": [job, {**job, "queue": "other"}, {"command": ["x"]}]}
    judged = await live.post("/jobs/batch", mixed)
    assert judged.status == 200 and len(judged.body["ids"]) == 2
    assert "not for jobs in the queue" in judged.body["results"][1]["detail"]
    said = (await live.post("/jobs", {**job, "relay": "nothing"})).problem(422, "validation")
    assert said["errors"][0]["field"] == "relay"
    container = {"kind": "container", "image": "debian", "relay": "api"}
    said = (await live.post("/jobs", container)).problem(422, "validation")
    assert "a network of its own" in said["detail"]
    assert (await live.post("/jobs", {**container, "network": "host"})).status == 201
