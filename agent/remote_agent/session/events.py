"""What can happen to an agent: the inputs of its session. Pure types."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ContentChunk
from remote_protocol.messages import Condition, Ended, HostLoad, Refusal, ServerMessage, Settings

_T = TypeVar("_T", bound=tuple[object, ...])


def distinct(kind: type[_T]) -> type[_T]:
    """Have the values of this type equal only those of their own type, as tuples do not.

    Named tuples are made several times as fast as frozen dataclasses, and so are their types: each
    start of the agent makes all of these.
    """

    def equal(self: _T, other: object) -> bool:
        return type(other) is type(self) and tuple.__eq__(self, other)

    def differ(self: _T, other: object) -> bool:
        return not equal(self, other)

    kind.__eq__, kind.__ne__, kind.__hash__ = equal, differ, tuple.__hash__  # type: ignore[method-assign,assignment]
    return kind


@distinct
class LinkOpened(NamedTuple):
    """A WebSocket to the server is open; `session` is a new ULID for it."""

    session: str


@distinct
class LinkClosed(NamedTuple):
    """The link is gone; everything in flight on it may or may not have arrived."""


@distinct
class Received(NamedTuple):
    """A message came from the server."""

    message: ServerMessage


@distinct
class OfferStored(NamedTuple):
    """The attempt's directory is there (answer to `Store`)."""

    key: AttemptId


@distinct
class OfferFailed(NamedTuple):
    """That was impossible (answer to `Store`)."""

    key: AttemptId
    reason: Refusal
    detail: str


@distinct
class AcceptanceDurable(NamedTuple):
    """That the attempt is accepted is on the disk (answer to `Force`)."""

    key: AttemptId


@distinct
class AcceptanceFailed(NamedTuple):
    """The disk refuses to keep that (answer to `Force`)."""

    key: AttemptId
    detail: str


@distinct
class AttemptStarted(NamedTuple):
    """The shim has spawned the job's process; `at` is wall-clock Unix time."""

    key: AttemptId
    pid: int
    at: float


@distinct
class SpoolGrew(NamedTuple):
    """The attempt's spool is now at least `size` bytes long."""

    key: AttemptId
    size: int


@distinct
class SpoolMissing(NamedTuple):
    """The spool has no byte at `offset`, where the next chunk would start."""

    key: AttemptId
    offset: int
    until: int | None
    """Where it goes on; None: it ends before `offset`."""


@distinct
class AttemptEnded(NamedTuple):
    """The exit record exists (or the shim is dead, and the record says `lost`)."""

    key: AttemptId
    ended: Ended
    text: str = ""
    """The same as JSON; empty: it has to be encoded."""


@distinct
class ChunkSent(NamedTuple):
    """The uploader handed the first `length` bytes of its last chunk to the link."""

    key: AttemptId
    length: int


@distinct
class InputReceived(NamedTuple):
    """A piece of an attempt's input came from the server."""

    key: AttemptId
    offset: int
    payload: memoryview


@distinct
class ContentChunkReceived(NamedTuple):
    """A piece of a content came from the server."""

    chunk: ContentChunk


@distinct
class InputStored(NamedTuple):
    """The attempt's copy of its input has `size` bytes now (answer to `AppendInput`)."""

    key: AttemptId
    size: int


@distinct
class InputEnded(NamedTuple):
    """The copy is complete, and marked so (answer to `EndInput`)."""

    key: AttemptId


@distinct
class InputFailed(NamedTuple):
    """The disk did not take it (answer to `AppendInput` and `EndInput`)."""

    key: AttemptId


@distinct
class HostLooked(NamedTuple):
    """How busy the host is: the next heartbeat says so."""

    load: HostLoad


@distinct
class ConditionChanged(NamedTuple):
    """Whether the agent takes jobs has changed on the host (pause, drain, disk …)."""

    condition: Condition
    refusal: Refusal = Refusal.PAUSED
    """What an offer is refused with while `condition.accepting` is false; `draining` when the
    condition says so."""


@distinct
class SettingsChanged(NamedTuple):
    """The host's configuration says something else about the agent now."""

    settings: Settings


@distinct
class ShuttingDown(NamedTuple):
    """The agent is about to close the link on purpose."""

    reason: str


@distinct
class Tick(NamedTuple):
    """Time went by; sent about once a second."""


Event = (
    LinkOpened
    | LinkClosed
    | Received
    | OfferStored
    | OfferFailed
    | AcceptanceDurable
    | AcceptanceFailed
    | AttemptStarted
    | SpoolGrew
    | SpoolMissing
    | AttemptEnded
    | ChunkSent
    | InputReceived
    | ContentChunkReceived
    | InputStored
    | InputEnded
    | InputFailed
    | HostLooked
    | ConditionChanged
    | SettingsChanged
    | ShuttingDown
    | Tick
)
