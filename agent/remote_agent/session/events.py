"""What can happen to an agent: the inputs of its session. Pure types."""

from __future__ import annotations

from dataclasses import dataclass

from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Condition, Ended, Refusal, ServerMessage, Settings


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """A WebSocket to the server is open; `session` is a new ULID for it."""

    session: str


@dataclass(frozen=True, slots=True)
class LinkClosed:
    """The link is gone; everything in flight on it may or may not have arrived."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message came from the server."""

    message: ServerMessage


@dataclass(frozen=True, slots=True)
class OfferStored:
    """The attempt's directory is durable (answer to `Store`)."""

    key: AttemptId


@dataclass(frozen=True, slots=True)
class OfferFailed:
    """The attempt's directory could not be made durable (answer to `Store`)."""

    key: AttemptId
    reason: Refusal
    detail: str


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """The shim has spawned the job's process; `at` is wall-clock Unix time."""

    key: AttemptId
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class SpoolGrew:
    """The attempt's spool is now at least `size` bytes long."""

    key: AttemptId
    size: int


@dataclass(frozen=True, slots=True)
class SpoolMissing:
    """The spool has no byte at `offset`, where the next chunk would start."""

    key: AttemptId
    offset: int
    until: int | None
    """Where it goes on; None: it ends before `offset`."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The exit record exists (or the shim is dead, and the record says `lost`)."""

    key: AttemptId
    ended: Ended


@dataclass(frozen=True, slots=True)
class ChunkSent:
    """The uploader handed the first `length` bytes of its last chunk to the link."""

    key: AttemptId
    length: int


@dataclass(frozen=True, slots=True)
class InputReceived:
    """A piece of an attempt's input came from the server."""

    key: AttemptId
    offset: int
    payload: memoryview


@dataclass(frozen=True, slots=True)
class InputStored:
    """The attempt's copy of its input has `size` bytes now (answer to `AppendInput`)."""

    key: AttemptId
    size: int


@dataclass(frozen=True, slots=True)
class InputEnded:
    """The copy is complete, and marked so (answer to `EndInput`)."""

    key: AttemptId


@dataclass(frozen=True, slots=True)
class InputFailed:
    """The disk did not take it (answer to `AppendInput` and `EndInput`)."""

    key: AttemptId


@dataclass(frozen=True, slots=True)
class Recounted:
    """These settled attempts are remembered (answer to `Recount`)."""

    keys: tuple[AttemptId, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """How they ended (answer to `LookUp`)."""

    ends: tuple[Ended, ...]


@dataclass(frozen=True, slots=True)
class ConditionChanged:
    """Whether the agent takes jobs has changed on the host (pause, drain, disk …)."""

    condition: Condition
    refusal: Refusal = Refusal.PAUSED
    """What an offer is refused with while `condition.accepting` is false; `draining` when the
    condition says so."""


@dataclass(frozen=True, slots=True)
class SettingsChanged:
    """The host's configuration says something else about the agent now."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Leaving:
    """The agent is about to close the link on purpose."""

    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time went by; sent about once a second."""


Event = (
    LinkOpened
    | LinkClosed
    | Received
    | OfferStored
    | OfferFailed
    | AttemptStarted
    | SpoolGrew
    | SpoolMissing
    | AttemptEnded
    | ChunkSent
    | InputReceived
    | InputStored
    | InputEnded
    | InputFailed
    | Recounted
    | Found
    | ConditionChanged
    | SettingsChanged
    | Leaving
    | Tick
)
