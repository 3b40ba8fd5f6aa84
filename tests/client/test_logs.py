"""Stored logs against a real HTTP server: every byte once, whatever breaks."""

from __future__ import annotations

import time

import pytest

from remote_client.client import Client
from remote_client.errors import ApiError, NotOurs
from remote_protocol import cri
from tests.support.fake_api import ID, Answer, FakeApi, Said, cri_log, job_view, problem


@pytest.fixture(autouse=True)
def job(api: FakeApi) -> None:
    """The job whose logs these are."""
    api.on("GET", f"/jobs/{ID}", job_view(state="succeeded", attempt=1))


def test_a_log_is_resumed_at_the_byte_where_the_line_broke(api: FakeApi, client: Client) -> None:
    whole = cri_log(*((("stdout", b"line %d\n" % n)) for n in range(500)))
    cuts = [1000, 1001, 9000]

    def piece(said: object) -> Answer:
        offset = int(api.calls[-1].query["offset"])
        if cuts:
            return Answer(whole[offset : offset + cuts.pop(0)], breaks=True)
        return Answer(whole[offset:])

    api.on("GET", f"/jobs/{ID}/log", piece)
    stored = b"".join(client.stored_log(ID, follow=True))
    assert stored == whole
    assert cri.decode(stored) == b"".join(b"line %d\n" % n for n in range(500))
    # Three cuts, the rest, and whether that was all.
    assert len(api.said("GET", f"/jobs/{ID}/log")) == 5
    assert api.calls[0].headers["Accept"] == "application/vnd.cri-log"


def test_records_keep_stream_time_and_bytes(api: FakeApi, client: Client) -> None:
    log = cri_log(("stdout", b"a\n"), ("stderr", b"\xff\x00"), ("stderr", b"b\n"))
    api.on("GET", f"/jobs/{ID}/log", log)
    records = list(client.follow_log(ID, attempt=2))
    assert [(r.stream, r.data) for r in records] == [
        ("stdout", b"a\n"),
        ("stderr", b"\xff\x00"),
        ("stderr", b"b\n"),
    ]
    assert api.calls[0].query == {"attempt": "2", "offset": "0", "follow": "true"}


def test_a_refused_log_is_not_asked_for_again(api: FakeApi, client: Client) -> None:
    with pytest.raises(ApiError):
        list(client.stored_log(ID, follow=True))
    assert len(api.calls) == 1


def test_long_logs_are_undone_fast_and_piece_by_piece(api: FakeApi, client: Client) -> None:
    log = cri_log(*[("stdout", b"x" * 79 + b"\n")] * 100) * 2000
    api.on("GET", f"/jobs/{ID}/log", log)
    began, size, largest = time.process_time(), 0, 0
    for piece in client.stored_log(ID, follow=True):
        size += len(cri.decode(piece))
        largest = max(largest, len(piece))
    seconds = time.process_time() - began
    assert size == 16_000_000
    assert largest <= 4 * 1024 * 1024
    # A quadratic way takes minutes; the exact speed is the benchmarks' business.
    assert size / seconds > 10e6


def test_a_resumed_log_stays_with_its_attempt(api: FakeApi, client: Client) -> None:
    whole = cri_log(("stdout", b"one\n"), ("stdout", b"two\n"))
    first = Answer(whole[:50], breaks=True, headers={"Remote-Attempt": "1"})
    api.on("GET", f"/jobs/{ID}/log", first, whole)
    assert b"".join(client.stored_log(ID, follow=True)) == whole
    asked = api.said("GET", f"/jobs/{ID}/log")
    assert [said.query.get("attempt") for said in asked] == [None, "1", "1"]
    assert asked[1].query["offset"] == "50"


def test_a_log_outlives_a_restart_of_the_server(api: FakeApi, client: Client) -> None:
    log = cri_log(("stdout", b"a\n"), ("stderr", b"b\n"))
    busy = problem(503, "store_unavailable", "later")
    cut = Answer(log[:41], breaks=True)
    api.on("GET", f"/jobs/{ID}/log", busy, cut, busy, Answer(b"<html>", 502), log)
    assert b"".join(client.stored_log(ID, attempt=1, follow=True)) == log
    asked = [said.query["offset"] for said in api.said("GET", f"/jobs/{ID}/log")]
    assert asked == ["0", "0", "41", "41", "41", str(len(log))]


def test_a_log_from_something_else_is_not_asked_for_again(api: FakeApi, client: Client) -> None:
    api.on("GET", f"/jobs/{ID}/log", Answer(b"<html>", 404))
    with pytest.raises(NotOurs, match="not as a remote-server"):
        list(client.stored_log(ID, follow=True))
    assert len(api.calls) == 1


def test_a_silent_job_outlives_any_number_of_idle_cuts(api: FakeApi, client: Client) -> None:
    log = cri_log(("stdout", b"at last\n"))
    quiet = {"Remote-Log-Size": "0", "Remote-Log-Over": "false"}

    def answer(said: Said) -> Answer:
        if len(api.said("GET", f"/jobs/{ID}/log")) < 600:
            return Answer(b"", headers=quiet)
        return Answer(log[int(said.query["offset"]) :])

    api.on("GET", f"/jobs/{ID}", job_view(state="running", attempt=1))
    api.on("GET", f"/jobs/{ID}/log", answer)
    # More of them than failures that it tolerates: the server was never away.
    assert b"".join(client.stored_log(ID, follow=True)) == log


def test_an_end_counts_only_when_the_job_or_a_head_agrees(api: FakeApi, client: Client) -> None:
    log = cri_log(*((("stdout", b"line %d\n" % n)) for n in range(50)))
    attempt = {"number": 1, "state": "ended", "log_complete": True, "log_size": len(log)}
    api.on("GET", f"/jobs/{ID}", job_view(state="failed", attempt=1, attempts=[attempt]))
    size = {"Remote-Log-Size": str(len(log)), "Remote-Log-Over": "true"}
    for cut in (0, 1, 40, len(log) - 1):
        api.calls.clear()
        # Ended in good order, both times, and only then whole.
        early = Answer(log[:cut], headers=size)
        api.on("GET", f"/jobs/{ID}/log", early, Answer(b"", headers=size), log)
        assert b"".join(client.stored_log(ID, attempt=1, follow=True)) == log
        assert len(api.said("GET", f"/jobs/{ID}/log")) == 3
    api.calls.clear()
    api.on("GET", f"/jobs/{ID}/log", log)
    assert b"".join(client.stored_log(ID, attempt=1, follow=True)) == log
    # The job's own document was proof enough.
    assert len(api.said("GET", f"/jobs/{ID}/log")) == 1
