"""The agent's table of an attempt's states: consistent in itself, and as the document shows it."""

from __future__ import annotations

from remote_agent.session.lifecycle import (
    OVER,
    SILENT,
    TRANSITIONS,
    Action,
    State,
    Trigger,
)
from tests.support.diagrams import END, arrows, starts

DIAGRAM = "States of an attempt on its agent"
SPEAKING = {Action.ACCEPT, Action.SAY_STARTED, Action.SAY_PROGRESS, Action.SAY_ENDED}


def test_the_diagram_is_the_table() -> None:
    changes = {
        (str(state), str(trigger), str(transition.state or END))
        for state, row in TRANSITIONS.items()
        for trigger, transition in row.items()
        if transition.state is not state
    }
    assert {arrow for arrow in arrows(DIAGRAM) if arrow[0] != END} == changes
    assert starts(DIAGRAM) == {State.STORING, State.FOUND, State.RUNNING, State.ENDED}


def test_every_state_has_a_row_and_can_be_reached_and_left() -> None:
    assert set(TRANSITIONS) == set(State)
    reached = {State.STORING, State.FOUND}
    for _ in State:
        reached |= {t.state for s in reached for t in TRANSITIONS[s].values() if t.state}
    assert reached == set(State)
    for state in State:
        assert any(t.state is not state for t in TRANSITIONS[state].values()), state


def test_what_starts_is_confirmed_and_durable() -> None:
    starts = {
        (state, trigger)
        for state, row in TRANSITIONS.items()
        for trigger, transition in row.items()
        if Action.START in transition.actions
    }
    assert starts == {
        (State.ACCEPTED, Trigger.CONFIRM),
        (State.FOUND, Trigger.CONFIRM),
        (State.CONFIRMED, Trigger.DURABLE),
    }
    into = {
        state: {
            (before, trigger)
            for before, row in TRANSITIONS.items()
            for trigger, transition in row.items()
            if transition.state is state and before is not state
        }
        for state in (State.ACCEPTED, State.CONFIRMED)
    }
    assert into == {
        State.ACCEPTED: {(State.WRITTEN, Trigger.DURABLE)},
        State.CONFIRMED: {(State.WRITTEN, Trigger.CONFIRM)},
    }


def test_what_may_have_begun_is_killed_and_ends_before_it_is_forgotten() -> None:
    may_have_begun = {State.FOUND, State.STARTING, State.STOPPING, State.RUNNING}
    for state in may_have_begun:
        assert TRANSITIONS[state][Trigger.SUPERSEDE].actions == (Action.KILL,)
        gone = {trigger for trigger, t in TRANSITIONS[state].items() if t.state is None}
        assert gone == set(), f"{state} is forgotten by {gone}"


def test_only_what_has_ended_can_be_settled() -> None:
    assert {state for state, row in TRANSITIONS.items() if Trigger.SETTLE in row} == OVER


def test_nothing_is_said_about_what_is_not_held() -> None:
    for state in State:
        for transition in TRANSITIONS[state].values():
            if transition.state in SILENT:
                assert not SPEAKING & set(transition.actions)


def test_every_trigger_and_every_action_is_used() -> None:
    rows = TRANSITIONS.values()
    assert {trigger for row in rows for trigger in row} == set(Trigger)
    used = {action for row in rows for t in row.values() for action in t.actions}
    assert used == set(Action)
