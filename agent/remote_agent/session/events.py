"""What can happen to an agent: the inputs of its session. Pure types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from remote_protocol.messages import Condition, Ended, Refusal, ServerMessage, Settings


class Key(NamedTuple):
    """One attempt of one job."""

    job: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.job}.{self.attempt}"


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

    key: Key


@dataclass(frozen=True, slots=True)
class OfferFailed:
    """The attempt's directory could not be made durable (answer to `Store`)."""

    key: Key
    reason: Refusal
    detail: str


@dataclass(frozen=True, slots=True)
class AttemptStarted:
    """The shim has spawned the job's process; `at` is wall-clock Unix time."""

    key: Key
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class SpoolGrew:
    """The attempt's spool is now at least `size` bytes long."""

    key: Key
    size: int


@dataclass(frozen=True, slots=True)
class SpoolMissing:
    """The spool has no byte at `offset`, where the next chunk would start."""

    key: Key
    offset: int
    until: int | None
    """Where it goes on; None: it ends before `offset`."""


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The exit record exists (or the shim is dead, and the record says `lost`)."""

    key: Key
    ended: Ended


@dataclass(frozen=True, slots=True)
class ChunkSent:
    """The uploader handed the first `length` bytes of its last chunk to the link."""

    key: Key
    length: int


@dataclass(frozen=True, slots=True)
class InputReceived:
    """A piece of an attempt's input came from the server."""

    key: Key
    offset: int
    payload: memoryview


@dataclass(frozen=True, slots=True)
class InputStored:
    """The attempt's copy of its input has `size` bytes now (answer to `AppendInput`)."""

    key: Key
    size: int


@dataclass(frozen=True, slots=True)
class InputEnded:
    """The copy is complete, and marked so (answer to `EndInput`)."""

    key: Key


@dataclass(frozen=True, slots=True)
class InputFailed:
    """The disk did not take it (answer to `AppendInput` and `EndInput`)."""

    key: Key


@dataclass(frozen=True, slots=True)
class Recounted:
    """These settled attempts are remembered (answer to `Recount`)."""

    keys: tuple[Key, ...]


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
