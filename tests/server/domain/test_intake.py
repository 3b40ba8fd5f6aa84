"""How a log arrives: rewinds that are answered, damaged copies, logs that cannot be had whole."""

from __future__ import annotations

from remote_protocol import messages as m
from remote_server.domain import events as ev
from remote_server.domain.intake import MOST_MISMATCHES, Intake
from tests.server.domain.talk import JOB, KEY, ended, kinds

END = ended(size=9)


def ack(offset: int) -> ev.Send:
    return ev.Send(m.Ack(job=JOB, attempt=1, offset=offset))


def rewind(offset: int) -> ev.Send:
    return ev.Send(m.Rewind(job=JOB, attempt=1, offset=offset))


def chunk(log: Intake, offset: int, size: int, length: int) -> list[ev.Effect]:
    return log.chunk(ev.ChunkReceived(KEY, offset, size, length))


def differs(log: Intake, length: int = 9) -> list[ev.Effect]:
    return log.judge(ev.LogVerified(END, length, matches=False))


def test_a_gap_is_asked_for_once_until_it_is_answered() -> None:
    log = Intake(KEY)
    assert chunk(log, 4, 2, length=0) == [rewind(0)]
    assert chunk(log, 6, 2, length=0) == []
    assert chunk(log, 0, 4, length=0) == [ev.AppendLog(KEY, 0, ack(4))]
    assert chunk(log, 6, 2, length=4) == [rewind(4)]


def test_an_end_that_was_said_before_the_rewind_was_read_does_not_count() -> None:
    log = Intake(KEY)
    assert not log.stale(END)
    chunk(log, 4, 2, length=0)
    assert log.stale(END)
    chunk(log, 0, 9, length=0)
    assert not log.stale(END)


def test_a_damaged_copy_is_kept_until_better_bytes_are_here() -> None:
    log = Intake(KEY)
    assert differs(log) == [rewind(0)]
    assert chunk(log, 5, 4, length=9) == [ack(9)], "sent before the rewind was read"
    assert chunk(log, 0, 4, length=9) == [ev.TruncateLog(KEY, 0), ev.AppendLog(KEY, 0, ack(4))]
    assert chunk(log, 4, 5, length=4) == [ev.AppendLog(KEY, 0, ack(9))]
    assert kinds(log.judge(ev.LogVerified(END, 9, matches=True))) == ["Finished"]


def test_a_log_whose_start_is_gone_is_mended_behind_it_and_settled() -> None:
    log = Intake(KEY)
    assert differs(log) == [rewind(0)]
    assert log.missed(4) == [ev.FillLog(KEY, 4)]
    assert log.stale(END)
    assert chunk(log, 4, 5, length=9) == [ev.TruncateLog(KEY, 4), ev.AppendLog(KEY, 0, ack(9))]
    assert not log.stale(END)
    (record,) = differs(log)
    assert isinstance(record, ev.Record)
    assert isinstance(record.change, ev.Finished)
    assert "before byte 4" in record.change.torn
    assert record.then == (ev.Send(m.Settled(job=JOB, attempt=1)),)


def test_what_is_right_after_all_is_complete() -> None:
    log = Intake(KEY)
    differs(log)
    log.missed(4)
    chunk(log, 4, 5, length=9)
    (record,) = log.judge(ev.LogVerified(END, 9, matches=True))
    assert isinstance(record, ev.Record)
    assert record.change == ev.Finished(KEY, END)


def test_an_agent_with_nothing_left_still_comes_to_its_end() -> None:
    log = Intake(KEY)
    differs(log)
    assert log.missed(9) == [ev.FillLog(KEY, 9)]
    assert not log.stale(END), "no chunk can follow"
    assert kinds(differs(log)) == ["Finished"]


def test_a_log_that_never_matches_is_settled_some_day() -> None:
    log = Intake(KEY)
    for _ in range(MOST_MISMATCHES - 1):
        assert differs(log) == [rewind(0)]
        chunk(log, 0, 9, length=9)
    (record,) = differs(log)
    assert isinstance(record, ev.Record)
    assert isinstance(record.change, ev.Finished)
    assert f"{MOST_MISMATCHES} times" in record.change.torn


def test_a_log_without_a_byte_that_does_not_match_is_settled_some_day() -> None:
    log, empty = Intake(KEY), ended(size=0)
    said = []
    for _ in range(MOST_MISMATCHES):
        assert not log.stale(empty)
        said += kinds(log.judge(ev.LogVerified(empty, 0, matches=False)))
    assert said == ["rewind", "rewind", "Finished"]


def test_a_hello_awaits_no_answer() -> None:
    log = Intake(KEY)
    chunk(log, 4, 2, length=0)
    log.hello()
    assert not log.stale(END)


def test_what_a_hello_cut_short_was_no_comparison_in_vain() -> None:
    log = Intake(KEY)
    for _ in range(2 * MOST_MISMATCHES):
        assert differs(log) == [rewind(0)]
        log.hello()
    for _ in range(MOST_MISMATCHES - 1):
        assert differs(log) == [rewind(0)]
        chunk(log, 0, 9, length=9)
    assert kinds(differs(log)) == ["Finished"]
