"""State tables: consistent in themselves, and the same as the diagrams in the document."""

from __future__ import annotations

from enum import StrEnum

import pytest

from remote_protocol.errors import LocalProtocolError
from remote_protocol.states import (
    ATTEMPT_TRANSITIONS,
    JOB_TRANSITIONS,
    LIVE,
    TERMINAL,
    AttemptEvent,
    AttemptState,
    JobEvent,
    JobState,
    advance_attempt,
    advance_job,
)
from tests.support.diagrams import changes, ends, starts, table_arrows, titles

Table = dict[StrEnum, dict[StrEnum, StrEnum]]
TABLES = [("States of jobs", JOB_TRANSITIONS), ("States of attempts", ATTEMPT_TRANSITIONS)]


@pytest.mark.parametrize(("title", "table"), TABLES)
def test_the_diagram_is_the_table(title: str, table: Table) -> None:
    assert changes(title) == table_arrows(table)


@pytest.mark.parametrize(("title", "table"), TABLES)
def test_the_diagram_ends_where_the_table_ends(title: str, table: Table) -> None:
    assert ends(title) == {str(state) for state, row in table.items() if not row}
    assert len(starts(title)) == 1


def test_every_diagram_of_the_document_is_compared() -> None:
    agent, server = "States of an attempt on its agent", "States of leases"
    assert list(titles()) == [*(title for title, _ in TABLES), agent, server]


@pytest.mark.parametrize(("_", "table"), TABLES)
def test_every_state_has_its_row_and_can_be_reached(_: str, table: Table) -> None:
    states = set(type(next(iter(table))))
    assert set(table) == states
    reached = {next(iter(states & {JobState.QUEUED, AttemptState.OFFERED}))}
    while True:
        further = reached | {end for state in reached for end in table[state].values()}
        if further == reached:
            break
        reached = further
    assert reached == states


def test_terminal_states_never_change() -> None:
    assert {state for state, row in JOB_TRANSITIONS.items() if not row} == TERMINAL
    assert {state for state in JobState if state.terminal} == TERMINAL
    for state in TERMINAL:
        for event in JobEvent:
            with pytest.raises(LocalProtocolError, match="cannot"):
                advance_job(state, event)


def test_every_job_that_lives_can_be_cancelled_or_fail() -> None:
    for state in set(JobState) - TERMINAL:
        assert advance_job(state, JobEvent.CANCEL) is JobState.CANCELLED
        assert advance_job(state, JobEvent.FAIL) is JobState.FAILED


def test_live_attempts_can_end_and_be_lost() -> None:
    assert {state for state in AttemptState if state.live} == LIVE
    for state in LIVE:
        assert advance_attempt(state, AttemptEvent.END) is AttemptState.ENDED
        assert advance_attempt(state, AttemptEvent.LOSE) is AttemptState.LOST


def test_only_what_was_not_accepted_can_be_withdrawn() -> None:
    states = {s for s, row in ATTEMPT_TRANSITIONS.items() if AttemptEvent.WITHDRAW in row}
    assert states == {AttemptState.OFFERED}
    with pytest.raises(LocalProtocolError, match="accepted cannot withdraw"):
        advance_attempt(AttemptState.ACCEPTED, AttemptEvent.WITHDRAW)


def test_only_the_lost_return() -> None:
    assert advance_attempt(AttemptState.LOST, AttemptEvent.RETURN) is AttemptState.RUNNING
    for state in set(AttemptState) - {AttemptState.LOST}:
        with pytest.raises(LocalProtocolError):
            advance_attempt(state, AttemptEvent.RETURN)
