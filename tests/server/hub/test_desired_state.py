"""`remote_server.hub.desired_state`: rows in the words of the protocol."""

from __future__ import annotations

import time
from dataclasses import replace

from remote_protocol.messages import Assignment, DesiredMode
from remote_server.domain.model import Agent
from remote_server.hub.desired_state import assignment_of, desired_mode_of

ROW = Agent("a", ("default", "gpu"), {"zone": "b"}, {"default": 4}, 0.0)


def test_an_assignment() -> None:
    assert assignment_of(ROW) == Assignment(
        queues=["default", "gpu"], labels={"zone": "b"}, capacity={"default": 4}
    )


def test_wishes() -> None:
    assert desired_mode_of(ROW) == DesiredMode()
    paused = replace(ROW, paused=True, pause_comment="new disk")
    assert desired_mode_of(paused) == DesiredMode(paused=True, comment="new disk")


def test_a_deadline_is_told_as_what_is_left_of_it() -> None:
    draining = replace(ROW, draining=True, drain_deadline_at=time.time() + 60)
    assert 55 < (desired_mode_of(draining).drain_deadline or 0) <= 60
    over = replace(ROW, draining=True, drain_deadline_at=time.time() - 60)
    assert desired_mode_of(over).drain_deadline == 0
