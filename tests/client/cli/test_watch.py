"""Following a job: streams as they were, exit codes of the contract."""

from __future__ import annotations

import time
from typing import Any

import pytest

from remote_client.cli.watch import Watch, exit_code, write_streams
from remote_client.client import Client
from remote_protocol.api import JobView
from tests.support.fake_api import ID, FakeApi, cri_log, job_view


def view(**fields: Any) -> JobView:
    return JobView.model_validate(job_view(**fields))


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
    api: FakeApi, client: Client, capfdbinary: pytest.CaptureFixture[bytes]
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
    logs = [cri_log(("stdout", b"one\n")), cri_log(("stdout", b"two\n"))]
    api.on("GET", f"/jobs/{ID}/log", *logs)
    assert Watch(client, first, "title").run() == 0
    out, err = capfdbinary.readouterr()
    assert out == b"one\ntwo\n"
    assert b"attempt 2 of 2 on b" in err
    assert [said.query["attempt"] for said in api.said("GET", f"/jobs/{ID}/log")] == ["1", "2"]


def test_the_reason_for_waiting_is_said_once(
    api: FakeApi, client: Client, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    began = time.monotonic()

    def answer(said: object) -> dict[str, Any]:
        waited = time.monotonic() - began
        if waited < 1.6:
            return job_view(pending_reason="all agents are busy")
        if waited < 2.2:
            return job_view(pending_reason="its agents are paused")
        return job_view(state="failed", end_reason="expired", end_detail="it waited too long")

    api.on("GET", f"/jobs/{ID}", answer)
    assert Watch(client, view(), "make").run() == 125
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.decode().splitlines() == [
        f"remotectl: {ID} waits: all agents are busy",
        f"remotectl: {ID} waits: its agents are paused",
        f"remotectl: {ID} (make) failed: it waited too long",
    ]
    assert not api.said("GET", f"/jobs/{ID}/log")


@pytest.mark.parametrize(
    ("ended", "took"), [("2026-11-21T05:01:04Z", "1m4s"), ("2026-11-21T04:00:00Z", "0ms")]
)
def test_a_clock_that_was_set_back_shows_no_negative_time(
    api: FakeApi, client: Client, capsys: pytest.CaptureFixture[str], ended: str, took: str
) -> None:
    over = {"state": "failed", "end_reason": "exit", "exit_code": 1}
    times = {"started_at": "2026-11-21T05:00:00Z", "ended_at": ended}
    api.on("GET", f"/jobs/{ID}", job_view(**over, **times))
    assert Watch(client, view(**over, **times), "make").run() == 1
    assert f"(make) failed after {took}" in capsys.readouterr().err
