"""Inputs and outputs of the server's protocol mirror (`session.AgentSession`). Pure types.

A `Record` is committed before its `then` messages are sent (I4).
"""

from __future__ import annotations

from dataclasses import field

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ToAgent
from remote_protocol.errors import CloseCode
from remote_protocol.frozen import frozen
from remote_protocol.messages import (
    AgentMessage,
    DesiredMode,
    Ended,
    Hello,
    Missing,
)
from remote_protocol.messages import Assignment as AgentAssignment
from remote_protocol.states import EndReason
from remote_server.domain.changes import Change
from remote_server.domain.model import Lease

# Events --------------------------------------------------------------------------------------


@frozen
class HelloReceived:
    """A hello came; the hub has looked up everything that the database knows about it.

    Looked up and handed over in one go: no other event of this agent may come in between, or a
    wish or the end of a lease could be overlooked.
    """

    hello: Hello
    leases: dict[AttemptId, Lease]
    """Every live lease of this agent, and every lost one of its inventory that may return."""
    ended: frozenset[AttemptId]
    """Attempts of the inventory whose end is committed: they are settled."""
    lengths: dict[AttemptId, int]
    """Length of the server's log file for each of the inventory's attempts."""
    assignment: AgentAssignment
    desired: DesiredMode
    left_alone: frozenset[AttemptId] = frozenset()
    """Attempts of the inventory that the database cannot tell what they are: they run to their end
    without a record."""
    warning: str = ""
    """What of the host's settings is not allowed, in words."""
    own_log: str | None = None
    """What the server has of its own log (`Welcome.own_log`)."""
    moved: bool = False
    """Another installation had the agent's name before this session."""


@frozen
class MessageReceived:
    """Any other message of the agent."""

    message: AgentMessage


@frozen
class ChunkReceived:
    """Log bytes came; `length` is the length of the attempt's file before them."""

    key: AttemptId
    offset: int
    size: int
    length: int


@frozen
class InputRead:
    """The agent wants the input of an attempt from `offset` on; the server has `size` bytes of it
    now, and `ended` tells whether those are all."""

    key: AttemptId
    offset: int
    size: int
    ended: bool


@frozen
class InputChanged:
    """A job's input has `size` bytes now, and `ended` tells whether those are all."""

    job: str
    size: int
    ended: bool


@frozen
class InputSent:
    """The piece of an input that was handed out last is on the link."""

    key: AttemptId
    length: int


@frozen
class InputGone:
    """There is no input any more: the attempt's job has ended."""

    key: AttemptId


@frozen
class MissingReceived:
    """The agent cannot send a log from where it was asked to; `length`: that of the file."""

    missing: Missing
    length: int


@frozen
class LogVerified:
    """Answer to `VerifyLog`."""

    ended: Ended
    length: int
    """Length of the file."""
    matches: bool
    """Whether its first `ended.size` bytes have the reported checksum. A host that lost power may
    have lost the tail of its spool: what the server has beyond it is kept."""


@frozen
class Offered:
    """The dispatcher has committed a lease for this agent."""

    lease: Lease


@frozen
class CancelWished:
    """The wish to end an attempt was committed."""

    key: AttemptId
    reason: EndReason
    detail: str


@frozen
class LeaseEnded:
    """The server itself gave the lease up (lost or withdrawn)."""

    key: AttemptId
    detail: str


@frozen
class DesiredModeChanged:
    """Pause or drain was committed."""

    desired: DesiredMode


@frozen
class AssignmentChanged:
    """Queues, labels or capacity were committed."""

    assignment: AgentAssignment


@frozen
class EndCommitting:
    """The end of an attempt is being committed. What takes its place is committed with it, or
    later, but never without it."""

    key: AttemptId


@frozen
class EndRecorded:
    """The end of an attempt is committed, and the record's `then` was sent. Of other changes that
    are, nobody has to hear."""

    key: AttemptId


@frozen
class ChangeRefused:
    """The store refused the change: this agent does not hold the attempt any more (I2), or the
    attempt's end is committed already. A change that merely says what is known is no such case:
    it is recorded again without effect."""

    change: Change


@frozen
class StoreFailed:
    """A `Record` could not be committed, or a log not written or read; nothing was acknowledged."""

    key: AttemptId | None = None
    """The attempt that it was about; None: every one."""


@frozen
class LinkClosed:
    """The link is gone: what was offered on it and not accepted can go to another agent."""


@frozen
class Doubted:
    """Another installation wants the agent's name: has this one still a life?"""


@frozen
class StoreRecovered:
    """The database works again: ask the agent for everything once more."""

    forgetful: bool = False
    """It may have lost what it was told last, so that this concerns sessions without trouble."""


@frozen
class Tick:
    """Time went by; sent about once a second for sessions that wait for something."""


Event = (
    HelloReceived
    | MessageReceived
    | ChunkReceived
    | MissingReceived
    | InputRead
    | InputChanged
    | InputSent
    | InputGone
    | LogVerified
    | Offered
    | CancelWished
    | LeaseEnded
    | DesiredModeChanged
    | AssignmentChanged
    | EndCommitting
    | EndRecorded
    | ChangeRefused
    | StoreFailed
    | Doubted
    | StoreRecovered
    | LinkClosed
    | Tick
)

# Effects -------------------------------------------------------------------------------------


@frozen
class Send:
    """Put a message on the link."""

    message: ToAgent


@frozen
class ConfirmWithSecrets:
    """Confirm the attempt with those of these secrets that jobs of the queue get, as they are
    now, and with its private input; StoreFailed when they cannot be read."""

    key: AttemptId
    names: tuple[str, ...]
    queue: str
    private_input: bool = False


@frozen
class Record:
    """Commit the change, send `then`, report EndRecorded of an end; else ChangeRefused or
    StoreFailed.

    Records are committed in the order in which they are given, also those of one tick. The messages
    of an acceptance may be sent before its commit, which may fail then (ADR 50).
    """

    change: Change
    then: tuple[Send | ConfirmWithSecrets, ...] = field(default=())


@frozen
class AppendLog:
    """Append the chunk's payload from `skip` on to the attempt's file, then send the ack."""

    key: AttemptId
    skip: int
    ack: Send
    take: int | None = None
    """So many bytes of it only; None: all."""


@frozen
class VerifyLog:
    """Compare the file with the reported size and checksum, then report LogVerified."""

    ended: Ended


@frozen
class TruncateLog:
    """Cut the attempt's file: from `length` on it may be damaged and comes again."""

    key: AttemptId
    length: int


@frozen
class FillLog:
    """Make the attempt's file at least `length` bytes long: what is missing will never come."""

    key: AttemptId
    length: int


@frozen
class SendInputs:
    """There are pieces of inputs to send: take them from the session, one after the other."""


@frozen
class CapacityChanged:
    """Slots of this agent became free, or its eligibility changed: wake the dispatcher."""


@frozen
class Close:
    """Say why, then close the link."""

    code: CloseCode
    detail: str


Effect = (
    Send
    | ConfirmWithSecrets
    | Record
    | AppendLog
    | VerifyLog
    | TruncateLog
    | FillLog
    | SendInputs
    | CapacityChanged
    | Close
)
