"""Following a job: streams as they were, exit codes of the contract."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from remote_client.calls import Calls
from remote_client.cli.watch import Watch, exit_code, write_streams
from remote_client.network import BlockingNetwork
from remote_client.transport import Transport
from tests.support.fake_api import ID, TOKEN, Answer, FakeApi, Said, cri_log, job_view

view = job_view


@pytest.fixture
def client(api: FakeApi) -> Iterator[Calls]:
    with closing(Transport(api.url, TOKEN, network=BlockingNetwork(lambda _: None))) as transport:
        yield Calls(transport)


@pytest.mark.parametrize(
    ("state", "reason", "code", "wanted"),
    [
        ("succeeded", "exit", 0, 0),
        ("failed", "exit", 78, 78),
        ("failed", "exit", 256, 1),
        ("failed", "signal", 137, 137),
        ("failed", "timeout", 143, 124),
        ("failed", "memory_limit", 137, 137),
        ("failed", "spawn_error", 127, 125),
        ("failed", "secret_missing", None, 125),
        ("failed", "lost", None, 125),
        ("failed", "expired", None, 125),
        ("failed", "rejected", None, 125),
        ("cancelled", "cancelled", 143, 130),
        ("cancelled", None, None, 130),
    ],
)
def test_exit_codes(state: str, reason: str | None, code: int | None, wanted: int) -> None:
    assert exit_code(view(state=state, end_reason=reason, exit_code=code)) == wanted


def test_streams_keep_their_order_and_bytes(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_streams(
        cri_log(("stdout", b"1\n"), ("stdout", b"\xfe"), ("stderr", b"e"), ("stdout", b"2"))
    )
    assert capfdbinary.readouterr() == (b"1\n\xfe2", b"e")


def test_every_attempt_is_shown(
    api: FakeApi, client: Calls, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    first = view(state="running", attempt=1, max_attempts=2)
    api.on(
        "GET",
        f"/jobs/{ID}",
        job_view(state="running", attempt=1, max_attempts=2),
        job_view(state="queued", attempt=1, max_attempts=2),
        job_view(state="running", attempt=2, max_attempts=2, agent="b"),
        job_view(state="succeeded", attempt=2, max_attempts=2, exit_code=0),
    )
    texts = {"1": cri_log(("stdout", b"one\n")), "2": cri_log(("stdout", b"two\n"))}

    def log(said: Said) -> Answer:
        number = said.query.get("attempt", "1")
        rest = texts[number][int(said.query["offset"]) :]
        return Answer(rest, headers={"Remote-Attempt": number})

    api.on("GET", f"/jobs/{ID}/log", log)
    assert Watch(client, first, "title").run() == 0
    out, err = capfdbinary.readouterr()
    assert out == b"one\ntwo\n"
    assert b"attempt 2 of 2 on b" in err
    follows = [said for said in api.said("GET", f"/jobs/{ID}/log") if "follow" in said.query]
    assert [said.query.get("attempt") for said in follows] == [None, "2"]


def test_the_reason_for_waiting_is_said_once(
    api: FakeApi, client: Calls, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    over = threading.Event()
    busy = job_view(pending_reason="all agents are busy")
    paused = job_view(pending_reason="its agents are paused")

    def end(said: object) -> dict[str, Any]:
        over.set()
        return job_view(state="failed", end_reason="expired", end_detail="it waited too long")

    def log(said: Said) -> Answer:
        # As long as the job waits: only after a second of it is the job looked at.
        assert over.wait(30)
        return Answer(b"", headers={"Remote-Attempt": "0"})

    api.on("GET", f"/jobs/{ID}", busy, busy, busy, paused, paused, end)
    api.on("GET", f"/jobs/{ID}/log", log)
    assert Watch(client, view(), "make").run() == 125
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.decode().splitlines() == [
        f"remotectl: {ID} waits: all agents are busy",
        f"remotectl: {ID} waits: its agents are paused",
        f"remotectl: {ID} (make) failed: it waited too long",
    ]
    # It is not followed while it waits: a server has few followers.
    assert len(api.said("GET", f"/jobs/{ID}/log")) == 1


@pytest.mark.parametrize(
    ("ended", "took"), [("2026-11-21T05:01:04Z", "1m4s"), ("2026-11-21T04:00:00Z", "0ms")]
)
def test_a_clock_that_was_set_back_shows_no_negative_time(
    api: FakeApi, client: Calls, capsys: pytest.CaptureFixture[str], ended: str, took: str
) -> None:
    over = {"state": "failed", "end_reason": "exit", "exit_code": 1}
    times = {"started_at": "2026-11-21T05:00:00Z", "ended_at": ended}
    api.on("GET", f"/jobs/{ID}", job_view(**over, **times))
    api.on("GET", f"/jobs/{ID}/log", b"")
    assert Watch(client, view(**over, **times), "make").run() == 1
    assert f"(make) failed after {took}" in capsys.readouterr().err
