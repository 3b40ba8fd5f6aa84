"""`remote_server.hub.desired_state`: rows in the words of the protocol."""

from __future__ import annotations

from dataclasses import replace

from remote_protocol.messages import Assignment, DesiredMode
from remote_server.domain.model import Agent
from remote_server.hub.desired_state import assignment_of, desired_mode_of, same_desired_mode

ROW = Agent("a", ("default", "gpu"), {"zone": "b"}, {"default": 4}, 0.0)
NOW = 1_700_000_000.0


def test_an_assignment() -> None:
    assert assignment_of(ROW) == Assignment(
        queues=["default", "gpu"], labels={"zone": "b"}, capacity={"default": 4}
    )


def test_wishes() -> None:
    assert desired_mode_of(ROW, NOW) == DesiredMode()
    paused = replace(ROW, paused=True, pause_comment="new disk")
    assert desired_mode_of(paused, NOW) == DesiredMode(paused=True, comment="new disk")


def test_a_restart_names_the_process_that_is_to_go() -> None:
    known = replace(ROW, process="p1")
    assert desired_mode_of(known, NOW).restart == ""
    asked = replace(known, restart_requested_at=NOW)
    assert desired_mode_of(asked, NOW).restart == "p1"
    assert not same_desired_mode(known, asked)


def test_a_deadline_is_told_as_what_is_left_of_it() -> None:
    draining = replace(ROW, draining=True, drain_deadline_at=NOW + 60)
    assert desired_mode_of(draining, NOW).drain_deadline == 60
    over = replace(ROW, draining=True, drain_deadline_at=NOW - 60)
    assert desired_mode_of(over, NOW).drain_deadline == 0
