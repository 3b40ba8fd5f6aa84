"""How a log arrives: rewinds that are answered, damaged copies, logs that cannot be had whole."""

from __future__ import annotations

from remote_protocol import cri
from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import settled
from remote_server.domain import changes as ch
from remote_server.domain import events as ev
from remote_server.domain.log_receiver import (
    HOLE,
    MOST_MISMATCHES,
    SLACK,
    WIDEST,
    LogReceiver,
    most_stored,
)
from tests.server.domain.talk import JOB, KEY, ended, kinds

END = ended(size=9)


def ack(offset: int) -> ev.Send:
    return ev.Send(m.Ack(attempt=AttemptId(JOB, 1), offset=offset))


def rewind(offset: int) -> ev.Send:
    return ev.Send(m.Rewind(attempt=AttemptId(JOB, 1), offset=offset))


def chunk(log: LogReceiver, offset: int, size: int, length: int) -> list[ev.Effect]:
    return log.chunk(ev.ChunkReceived(KEY, offset, size, length))


def differs(log: LogReceiver, length: int = 9) -> list[ev.Effect]:
    return log.judge(ev.LogVerified(END, length, matches=False))


def test_a_gap_is_asked_for_once_until_it_is_answered() -> None:
    log = LogReceiver(KEY)
    assert chunk(log, 4, 2, length=0) == [rewind(0)]
    assert chunk(log, 6, 2, length=0) == []
    assert chunk(log, 0, 4, length=0) == [ev.AppendLog(KEY, 0, ack(4))]
    assert chunk(log, 6, 2, length=4) == [rewind(4)]


def test_an_end_that_was_said_before_the_rewind_was_read_does_not_count() -> None:
    log = LogReceiver(KEY)
    assert not log.stale(END)
    chunk(log, 4, 2, length=0)
    assert log.stale(END)
    chunk(log, 0, 9, length=0)
    assert not log.stale(END)


def test_a_damaged_copy_is_kept_until_better_bytes_are_here() -> None:
    log = LogReceiver(KEY)
    assert differs(log) == [rewind(0)]
    assert chunk(log, 5, 4, length=9) == [ack(9)], "sent before the rewind was read"
    assert chunk(log, 0, 4, length=9) == [ev.TruncateLog(KEY, 0), ev.AppendLog(KEY, 0, ack(4))]
    assert chunk(log, 4, 5, length=4) == [ev.AppendLog(KEY, 0, ack(9))]
    assert kinds(log.judge(ev.LogVerified(END, 9, matches=True))) == ["Finished"]


def test_a_log_whose_start_is_gone_is_mended_after_it_and_settled() -> None:
    log = LogReceiver(KEY)
    assert differs(log) == [rewind(0)]
    assert log.missed(4, 0) == [ev.FillLog(KEY, 4)]
    assert log.stale(END)
    assert chunk(log, 4, 5, length=9) == [ev.TruncateLog(KEY, 4), ev.AppendLog(KEY, 0, ack(9))]
    assert not log.stale(END)
    (record,) = differs(log)
    assert isinstance(record, ev.Record)
    assert isinstance(record.change, ch.Finished)
    assert "before byte 4" in record.change.torn
    assert record.then == (ev.Send(settled(KEY)),)


def test_what_is_right_after_all_is_complete() -> None:
    log = LogReceiver(KEY)
    differs(log)
    log.missed(4, 0)
    chunk(log, 4, 5, length=9)
    (record,) = log.judge(ev.LogVerified(END, 9, matches=True))
    assert isinstance(record, ev.Record)
    assert record.change == ch.Finished(KEY, END)


def test_an_agent_with_nothing_left_still_comes_to_its_end() -> None:
    log = LogReceiver(KEY)
    differs(log)
    assert log.missed(9, 0) == [ev.FillLog(KEY, 9)]
    assert not log.stale(END), "no chunk can follow"
    assert kinds(differs(log)) == ["Finished"]


def test_a_log_that_never_matches_is_settled_some_day() -> None:
    log = LogReceiver(KEY)
    for _ in range(MOST_MISMATCHES - 1):
        assert differs(log) == [rewind(0)]
        chunk(log, 0, 9, length=9)
    (record,) = differs(log)
    assert isinstance(record, ev.Record)
    assert isinstance(record.change, ch.Finished)
    assert f"{MOST_MISMATCHES} times" in record.change.torn


def test_a_log_without_a_byte_that_does_not_match_is_settled_some_day() -> None:
    log, empty = LogReceiver(KEY), ended(size=0)
    said = []
    for _ in range(MOST_MISMATCHES):
        assert not log.stale(empty)
        said += kinds(log.judge(ev.LogVerified(empty, 0, matches=False)))
    assert said == ["rewind", "rewind", "Finished"]


def test_a_hello_awaits_no_answer() -> None:
    log = LogReceiver(KEY)
    chunk(log, 4, 2, length=0)
    log.hello()
    assert not log.stale(END)


def test_what_a_hello_cut_short_was_no_comparison_in_vain() -> None:
    log = LogReceiver(KEY)
    for _ in range(2 * MOST_MISMATCHES):
        assert differs(log) == [rewind(0)]
        log.hello()
    for _ in range(MOST_MISMATCHES - 1):
        assert differs(log) == [rewind(0)]
        chunk(log, 0, 9, length=9)
    assert kinds(differs(log)) == ["Finished"]


def test_missing_answers_what_was_asked_and_nothing_else() -> None:
    log = LogReceiver(KEY)
    assert log.missed(5, 0) == [ev.FillLog(KEY, 5)], "a hello names an offset, too"
    assert log.missed(1000, 5) == []
    assert chunk(log, 5, 2, length=5) == [ev.AppendLog(KEY, 0, ack(7))]
    assert chunk(log, 900, 2, length=7) == [rewind(7)]
    assert log.missed(900, 7) == [ev.FillLog(KEY, 900)]
    assert log.missed(2000, 900) == []
    log.hello()
    assert log.missed(950, 900) == [ev.FillLog(KEY, 950)]


def test_no_hole_is_made_that_no_log_can_have() -> None:
    for offset, limit in ((60 << 30, 1 << 62), (HOLE + 1, 1 << 62), (1001, 1000)):
        log = LogReceiver(KEY, limit=limit)
        assert log.missed(offset, 0) == []
        assert chunk(log, offset, 5, length=0) == [ack(offset + 5)]
        (record,) = log.judge(ev.LogVerified(ended(size=offset + 5), 0, matches=False))
        assert isinstance(record, ev.Record) and isinstance(record.change, ch.Finished)
        assert "any more" in record.change.torn
        assert record.change.ended.size == 0, "what is shown is what is there"


def test_a_log_beyond_its_cap_is_cut_and_the_job_ends() -> None:
    log = LogReceiver(KEY, limit=10)
    assert chunk(log, 0, 8, length=0) == [ev.AppendLog(KEY, 0, ack(8))]
    assert chunk(log, 8, 8, length=8) == [ev.AppendLog(KEY, 0, ack(16), 2)]
    assert chunk(log, 16, 8, length=10) == [ack(24)]
    (record,) = log.judge(ev.LogVerified(ended(size=24), 10, matches=False))
    assert isinstance(record, ev.Record) and isinstance(record.change, ch.Finished)
    assert "more than a job's log may have: 10 bytes are kept" in record.change.torn
    assert record.change.ended.size == 10
    # On a new link it comes again, and nothing is asked for in vain.
    again = LogReceiver(KEY, limit=10)
    assert chunk(again, 10, 8, length=10) == [ev.AppendLog(KEY, 0, ack(18), 0)]
    assert kinds(again.judge(ev.LogVerified(ended(size=24), 10, matches=False))) == ["Finished"]


def test_honest_logs_fit() -> None:
    assert most_stored(None, None) == 1 << 62
    assert most_stored(4096, None) == most_stored(1 << 30, 4096) == 4096 * WIDEST + SLACK
    stamp = b"2026-11-26T10:00:00.123456789Z"
    for line in (b"\n", b"x", b"x\n"):
        stored = b"".join(cri.encode(line, stamp, cri.STDOUT))
        assert len(stored) <= WIDEST * len(line)
