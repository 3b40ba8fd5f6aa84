"""What an agent's session wants done: its outputs. Pure types.

The loops around the session only carry them out, in order, and report back by events.
"""

from __future__ import annotations

from typing import NamedTuple

from remote_agent.session.events import distinct
from remote_agent.session.secret_needs import SecretNeeds
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ContentChunk, Written
from remote_protocol.errors import CloseCode
from remote_protocol.messages import (
    AgentMessage,
    ArtifactAck,
    ContentLost,
    DesiredMode,
    Offer,
    Welcome,
)
from remote_protocol.messages import Assignment as ServerAssignment
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason


@distinct
class ArtifactAnswered(NamedTuple):
    """The server says what it has of an artifact."""

    ack: ArtifactAck


@distinct
class Send(NamedTuple):
    """Put a message on the link; dropped silently when there is no link any more."""

    message: AgentMessage | Written


@distinct
class Store(NamedTuple):
    """Write the attempt's directory, then report OfferStored or OfferFailed before anything else is
    heard."""

    offer: Offer


@distinct
class Force(NamedTuple):
    """Force to the disk that the attempt is accepted, when what was sent before has left; then
    report AcceptanceDurable or AcceptanceFailed."""

    key: AttemptId


@distinct
class ForbidInspection(NamedTuple):
    """Values of secrets wait in this process's memory: nobody else may read it."""


@distinct
class Start(NamedTuple):
    """Have a shim run the attempt; idempotent by the shim's start lock (I1)."""

    key: AttemptId
    secrets: SecretNeeds | None = None
    """None for a job without secrets."""


@distinct
class Prepare(NamedTuple):
    """Put the contents that the attempt's job names into place, fetching what this host lacks, and
    then do as `Start` says."""

    key: AttemptId
    spec: JobSpec
    secrets: SecretNeeds | None = None


@distinct
class ContentReceived(NamedTuple):
    """A piece of a content came."""

    chunk: ContentChunk


@distinct
class ContentMissing(NamedTuple):
    """The server cannot give a content."""

    lost: ContentLost


@distinct
class Stop(NamedTuple):
    """End the attempt politely: signal, grace period, kill. Idempotent. Its end is reported.

    An attempt that has not begun never will: its start marker is taken, an exit record with
    `reason` written, its end reported.
    """

    key: AttemptId
    reason: EndReason
    detail: str


@distinct
class Kill(NamedTuple):
    """End a superseded attempt at once. Its end is reported too, and then forgotten.

    As with `Stop`, an attempt that has not begun never will. Its end reason is `lost`: should the
    agent restart before it is forgotten, no other meaning must be read into it.
    """

    key: AttemptId
    detail: str


@distinct
class Forget(NamedTuple):
    """The server needs nothing more of the attempt: its journal may go, its log copy stays
    until retention."""

    key: AttemptId


@distinct
class WakeUploader(NamedTuple):
    """There may be log bytes that can be sent now."""


@distinct
class Acknowledged(NamedTuple):
    """The server has every log byte of the attempt before `offset`."""

    key: AttemptId
    offset: int


@distinct
class AppendInput(NamedTuple):
    """Write these bytes at `offset` of the attempt's copy of its input, where that ends now, then
    report InputStored or InputFailed before anything else is heard."""

    key: AttemptId
    offset: int
    payload: memoryview


@distinct
class EndInput(NamedTuple):
    """Note that the attempt's copy of its input is complete with `size` bytes, then report
    InputEnded or InputFailed."""

    key: AttemptId
    size: int


@distinct
class Online(NamedTuple):
    """The server has welcomed this session."""

    welcome: Welcome


@distinct
class ContactConfirmed(NamedTuple):
    """The server has answered what was sent `at` this moment: it was there and heard us."""

    at: float


@distinct
class OwnLogStored(NamedTuple):
    """The server has the agent's own log up to this cursor."""

    cursor: str


@distinct
class ApplyDesiredState(NamedTuple):
    """What operators want of the agent, as the server has it now."""

    desired: DesiredMode


@distinct
class ApplyAssignment(NamedTuple):
    """Queues, labels and capacity as the server decided them."""

    assignment: ServerAssignment


@distinct
class CloseLink(NamedTuple):
    """Close the link with this code; a new one is made after the backoff."""

    code: CloseCode
    detail: str


Effect = (
    Send
    | Store
    | Force
    | ForbidInspection
    | Start
    | Prepare
    | ContentReceived
    | ContentMissing
    | Stop
    | Kill
    | Forget
    | WakeUploader
    | Acknowledged
    | AppendInput
    | EndInput
    | Online
    | ContactConfirmed
    | OwnLogStored
    | ArtifactAnswered
    | ApplyDesiredState
    | ApplyAssignment
    | CloseLink
)
