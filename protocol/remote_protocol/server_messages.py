"""What the server says to agents: one frozen type for each message. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints

from remote_protocol.artifacts import ArtifactNumber, ArtifactState
from remote_protocol.attempt_id import AttemptId
from remote_protocol.contents import ContentNumber
from remote_protocol.defaults import empty_list
from remote_protocol.ids import JobId, Name
from remote_protocol.limits import MAX_INVENTORY, MAX_PRIVATE_INPUT, MAX_SECRETS, MAX_SECRETS_SIZE
from remote_protocol.parts import (
    Assignment,
    Count,
    DesiredMode,
    Interval,
    Message,
    Offset,
    Ruling,
    Text,
    Version,
    Word,
)
from remote_protocol.secret_names import SecretName, check_secret_values
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason


class Welcome(Message):
    """Answer to a hello: the rulings on the inventory, and what holds for the agent."""

    type: Literal["welcome"] = "welcome"
    version: Version
    session: JobId
    epoch: Count
    """Counts the sessions of this agent; the highest one is the only one that is heard."""
    agent: Name
    server_version: Word = ""
    heartbeat_interval: Interval
    """Seconds between heartbeats, dictated and staggered by the server."""
    offer_ttl: Interval
    """Seconds; an offer that may be older must not be started."""
    assignment: Assignment
    desired: DesiredMode = DesiredMode()
    rulings: list[Ruling] = Field(default_factory=empty_list, max_length=MAX_INVENTORY)
    warning: Text = ""
    own_log: Word | None = None
    """The cursor after what the server has of the agent's own log; empty: nothing; null: it wants
    none."""


class Offer(Message):
    """A lease for one attempt. Sent again, it changes nothing."""

    type: Literal["offer"] = "offer"
    attempt: AttemptId
    spec: JobSpec
    serial: Count = 0
    """Counts the offers of a link: tells the answer to a withdrawn offer from the answer to a later
    one of the same attempt."""


def _bounded(values: dict[str, str]) -> dict[str, str]:
    check_secret_values(values)
    return values


class Confirm(Message):
    """The acceptance is committed: start the attempt. Sent again, it changes nothing.

    Nothing starts without it: an offer whose acceptance was not committed has never run, so
    that the server may withdraw it and give the same attempt to another agent (I1).
    """

    model_config = ConfigDict(hide_input_in_errors=True)

    type: Literal["confirm"] = "confirm"
    attempt: AttemptId
    # Absent for a job that names none, and then neither written nor read.
    secrets: (
        Annotated[
            dict[SecretName, Annotated[str, StringConstraints(max_length=MAX_SECRETS_SIZE)]],
            Field(max_length=MAX_SECRETS),
            AfterValidator(_bounded),
        ]
        | None
    ) = Field(default=None, repr=False)
    """Values of secrets that the job names and the server gives; kept in memory only."""
    withheld: Annotated[dict[SecretName, Text], Field(max_length=MAX_SECRETS)] | None = None
    """Those that it does not give, each with a sentence why."""
    private_input: Annotated[str, StringConstraints(max_length=MAX_PRIVATE_INPUT)] | None = Field(
        default=None, repr=False
    )
    """What the job finds on its standard input, if its specification says so; kept in memory only.
    None: the server does not have it any more, or there is none."""


class Ack(Message):
    """Every log byte before `offset` has arrived."""

    type: Literal["ack"] = "ack"
    attempt: AttemptId
    offset: Offset


class Rewind(Message):
    """The log has to be sent again from `offset`: the length of the server's file, or 0 when that
    is damaged. Answered by the chunk at `offset`, or by `missing`."""

    type: Literal["rewind"] = "rewind"
    attempt: AttemptId
    offset: Offset


class Settled(Message):
    """The end is committed, with all of the log that could be had: forget the attempt."""

    type: Literal["settled"] = "settled"
    attempt: AttemptId


class ArtifactAck(Message):
    """What the server has of an artifact. Every byte before `offset` has arrived; while it is
    `uploading` more is wanted."""

    type: Literal["artifact_ack"] = "artifact_ack"
    attempt: AttemptId
    number: ArtifactNumber
    state: ArtifactState
    offset: Offset = 0
    again: bool = False
    """Send it from `offset` on: the answer to `artifact`, and to bytes that do not fit."""
    detail: Text = ""
    """Why it is not wanted, when it has failed."""


class ContentLost(Message):
    """A content that the attempt names cannot be had: end the attempt before it starts."""

    type: Literal["content_lost"] = "content_lost"
    attempt: AttemptId
    number: ContentNumber
    reason: Text


class InputEnd(Message):
    """The job's input is complete and has `size` bytes; sent after the last of them."""

    type: Literal["input_end"] = "input_end"
    attempt: AttemptId
    size: Offset


class Cancel(Message):
    """End the attempt, politely first. Repeated until its end is reported."""

    type: Literal["cancel"] = "cancel"
    attempt: AttemptId
    reason: EndReason = EndReason.CANCELLED
    """The end reason to record: `cancelled`, or `timeout` when the server enforces it."""
    detail: Text = ""


class Superseded(Message):
    """The attempt is stale: kill it, forget it, send nothing more about it."""

    type: Literal["superseded"] = "superseded"
    attempt: AttemptId
    detail: Text = ""


class SetMode(Message):
    """What operators want of the agent has changed."""

    type: Literal["mode"] = "mode"
    desired: DesiredMode


class Configure(Message):
    """The agent's assignment or intervals changed; applied live."""

    type: Literal["configure"] = "configure"
    assignment: Assignment
    heartbeat_interval: Interval
    offer_ttl: Interval


class HeartbeatAck(Message):
    """Answer to a heartbeat. Every offer that is read after it was sent after that heartbeat."""

    type: Literal["heartbeat_ack"] = "heartbeat_ack"
    seq: Count
    epoch: Count
    leases: Count
    """Accepted attempts whose end has not been reported, as the server counted them when the
    heartbeat came; a lasting mismatch makes the agent say hello."""
    eligible: bool
    reason: Text = ""
    """Why the agent gets no jobs, when it gets none."""


class OwnLogAck(Message):
    """Everything of the agent's own log before `cursor` is kept."""

    type: Literal["own_log_ack"] = "own_log_ack"
    cursor: Word


class Resync(Message):
    """Say hello again on this link: the server is in doubt about what you hold."""

    type: Literal["resync"] = "resync"
    reason: Text = ""


class Error(Message):
    """Last message before the server closes a link: the cause, in words."""

    type: Literal["error"] = "error"
    code: Word
    detail: Text


ServerMessage = Annotated[
    Welcome
    | Offer
    | Confirm
    | Ack
    | Rewind
    | Settled
    | ArtifactAck
    | ContentLost
    | InputEnd
    | Cancel
    | Superseded
    | SetMode
    | Configure
    | HeartbeatAck
    | OwnLogAck
    | Resync
    | Error,
    Field(discriminator="type"),
]
