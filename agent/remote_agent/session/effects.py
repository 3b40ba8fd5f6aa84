"""What an agent's session wants done: its outputs. Pure types.

The loops around the session only carry them out, in order, and report back by events.
"""

from __future__ import annotations

from dataclasses import dataclass

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.messages import AgentMessage, Ended, Offer, Welcome, Wishes
from remote_protocol.messages import Assignment as ServerAssignment
from remote_protocol.states import EndReason


@dataclass(frozen=True, slots=True)
class Send:
    """Put a message on the link; dropped silently when there is no link any more."""

    message: AgentMessage


@dataclass(frozen=True, slots=True)
class Store:
    """Make the attempt's directory durable (fsync), then report OfferStored or OfferFailed."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Start:
    """Have a shim run the attempt; idempotent by the shim's start lock (I1)."""

    key: AttemptId


@dataclass(frozen=True, slots=True)
class Stop:
    """End the attempt politely: signal, grace period, kill. Idempotent. Its end is reported.

    An attempt that has not begun never will: its start marker is taken, an exit record with
    `reason` written, its end reported.
    """

    key: AttemptId
    reason: EndReason
    detail: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End a superseded attempt at once. Its end is reported too, and then forgotten.

    As with `Stop`, an attempt that has not begun never will. Its end reason is `lost`: should the
    agent restart before it is forgotten, no other meaning must be read into it.
    """

    key: AttemptId
    detail: str


@dataclass(frozen=True, slots=True)
class Forget:
    """The server needs nothing more of the attempt: its journal may go, its log copy stays
    until retention."""

    key: AttemptId


@dataclass(frozen=True, slots=True)
class Remember:
    """The server has settled an attempt's end: keep it for a server that forgets."""

    ended: Ended


@dataclass(frozen=True, slots=True)
class Recount:
    """Look up which settled attempts are remembered, then report Recounted."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Look up the remembered ends of these attempts, then report Found."""

    keys: tuple[AttemptId, ...]


@dataclass(frozen=True, slots=True)
class WakeUploader:
    """There may be log bytes that can be sent now."""


@dataclass(frozen=True, slots=True)
class AppendInput:
    """Write these bytes at `offset` of the attempt's copy of its input, where that ends now, then
    report InputStored or InputFailed before anything else is heard."""

    key: AttemptId
    offset: int
    payload: memoryview


@dataclass(frozen=True, slots=True)
class EndInput:
    """Note that the attempt's copy of its input is complete with `size` bytes, then report
    InputEnded or InputFailed."""

    key: AttemptId
    size: int


@dataclass(frozen=True, slots=True)
class Online:
    """The server has welcomed this session."""

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class Proven:
    """The server has answered what was sent `at` this moment: it was there and heard us."""

    at: float


@dataclass(frozen=True, slots=True)
class ApplyWishes:
    """The operators' wishes as they stand now."""

    wishes: Wishes


@dataclass(frozen=True, slots=True)
class ApplyAssignment:
    """Queues, labels and capacity as the server decided them."""

    assignment: ServerAssignment


@dataclass(frozen=True, slots=True)
class CloseLink:
    """Close the link with this code; a new one is made after the backoff."""

    code: CloseCode
    detail: str


Effect = (
    Send
    | Store
    | Start
    | Stop
    | Kill
    | Forget
    | Remember
    | Recount
    | LookUp
    | WakeUploader
    | AppendInput
    | EndInput
    | Online
    | Proven
    | ApplyWishes
    | ApplyAssignment
    | CloseLink
)
