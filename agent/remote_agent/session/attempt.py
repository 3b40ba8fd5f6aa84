"""One attempt as its agent's session holds it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from remote_agent.session.input_copy import InputCopy
from remote_agent.session.lifecycle import OVER, SILENT, State
from remote_agent.session.secret_needs import SecretNeeds
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended, Phase, Started
from remote_protocol.spec import JobSpec
from remote_protocol.stream import Cursor


class FoundAttempt(NamedTuple):
    """An attempt that was found on the disk, before the first link."""

    key: AttemptId
    spec: JobSpec | None
    """None when its directory was damaged: it has ended then."""
    phase: Phase
    size: int
    """Length of its log in bytes."""
    started: Started | None = None
    ended: Ended | None = None
    input: InputCopy | None = None
    """What it has of the job's input."""


@dataclass(slots=True)
class HeldAttempt:
    """What is known of one attempt, from its offer until it may be forgotten."""

    key: AttemptId
    spec: JobSpec | None
    """None for one whose directory was damaged: it has ended."""
    state: State = State.STORING
    cursor: Cursor = field(default_factory=Cursor)
    input: InputCopy | None = None
    """The copy of the job's input; None for a job that has none."""
    needs: SecretNeeds | None = None
    """What its start will be given of secrets, when it is confirmed before it is durable."""
    started: Started | None = None
    ended: Ended | None = None
    ended_text: str = ""
    """The same as JSON; empty: it has to be encoded."""
    serial: int = 0
    """That of its last offer on this link; 0 when there was none."""
    in_hand: int | None = None
    """Offset of the chunk that the uploader is sending."""
    queue: str = field(init=False, default="")
    weight: float | None = field(init=False, default=None)
    """Of its job, read often: a model's fields are slow to read."""

    def __post_init__(self) -> None:
        spec = self.spec
        if spec is None:
            return
        self.queue, self.weight = spec.queue, spec.weight
        if self.input is None and spec.stdin:
            self.input = InputCopy()

    @staticmethod
    def adopt(found: FoundAttempt) -> HeldAttempt:
        """One that was accepted and has not begun waits for the server's `confirm`: it may have
        been given to another agent meanwhile."""
        state = State.FOUND if found.phase is Phase.ACCEPTED else State.RUNNING
        attempt = HeldAttempt(found.key, found.spec, state, input=found.input)
        attempt.started = found.started
        attempt.cursor.grow(found.size)
        if found.ended is not None:
            attempt.finish(found.ended)
            attempt.state = State.ENDED
        return attempt

    @property
    def phase(self) -> Phase | None:
        """What the server is told; None while it does not count as held."""
        if self.state is State.STORING:
            return None
        if self.ended is not None:
            return Phase.ENDED
        began = self.state is State.RUNNING or self.started is not None
        return Phase.RUNNING if began else Phase.ACCEPTED

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in OVER

    @property
    def sends(self) -> bool:
        """Whether its log is sent."""
        return self.state not in SILENT

    @property
    def reads(self) -> bool:
        """Whether its job may still read its input."""
        return self.input is not None and not self.over and self.state is not State.SUPERSEDED

    @property
    def open(self) -> bool:
        """Whether the server, having read everything sent so far, counts it as held."""
        return self.state not in SILENT and self.state is not State.REPORTED

    @property
    def stop_after(self) -> float | None:
        """Seconds without the server after which its job's policy ends it."""
        return None if self.spec is None else self.spec.on_disconnect.stop_after

    def rewind(self, offset: int) -> None:
        """Send the log from `offset` on."""
        self.cursor.rewind(offset)
        self.in_hand = None

    def finish(self, ended: Ended, text: str = "") -> None:
        """It is over, its log has its final size."""
        self.ended, self.ended_text = ended, text
        # An event of its growth may have been ahead of what reached the disk.
        self.cursor.size = max(ended.size, self.cursor.sent)
