"""One attempt as its agent's session knows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from remote_agent.session.inputs import InputCopy
from remote_protocol.messages import Ended, Phase, Started
from remote_protocol.spec import JobSpec
from remote_protocol.stream import Cursor


@dataclass(slots=True)
class Attempt:
    """What is held for one attempt, from its offer until it may be forgotten."""

    spec: JobSpec | None
    """None for one that was settled, and taken up again for a server that forgot it."""
    phase: Phase | None = None
    """None while its directory is being made durable: it does not count as held yet."""
    cursor: Cursor = field(default_factory=Cursor)
    input: InputCopy | None = None
    """The copy of the job's input; None for a job that has none."""
    started: Started | None = None
    ended: Ended | None = None
    serial: int = 0
    """That of its last offer on this link; 0 when there was none."""
    begun: bool = False
    """Its start was asked for, or may have been by a former process of the agent."""
    confirmed: bool = False
    """The server has committed the acceptance."""
    stopping: bool = False
    """Its end was asked for."""
    dropped: bool = False
    """Withdrawn, or the link of its offer lost, before it was durable."""
    doomed: bool = False
    """Superseded, its kill is under way: nothing is said about it any more."""
    reported: bool = False
    """Its end was sent on this session and its whole log before it."""
    handed: int | None = None
    """Offset of the chunk that the uploader has in its hands."""
    queued: bool = False
    """It stands in the round of attempts with something to send."""

    def __post_init__(self) -> None:
        if self.input is None and self.spec is not None and self.spec.stdin:
            self.input = InputCopy()

    @property
    def reads(self) -> bool:
        """Whether its job may still read its input."""
        return self.input is not None and self.phase is not Phase.ENDED and not self.doomed

    @property
    def open(self) -> bool:
        """Whether the server, having read everything sent so far, counts it as held."""
        return self.phase is not None and not self.doomed and not self.reported

    @property
    def stop_after(self) -> float | None:
        """Seconds without the server after which its job's policy ends it."""
        return None if self.spec is None else self.spec.on_disconnect.stop_after

    def rewind(self, offset: int) -> None:
        """Send the log from `offset` on, and the end once more after it."""
        self.cursor.rewind(offset)
        self.handed = None
        self.reported = False

    def finish(self, ended: Ended) -> None:
        """It is over, its log has its final size."""
        self.phase = Phase.ENDED
        self.ended = ended
        # A hint of its growth may have been ahead of what reached the disk.
        self.cursor.size = max(ended.size, self.cursor.sent)
