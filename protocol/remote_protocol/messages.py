"""Every message between agent and server: one frozen type each. Pure.

Unknown fields are ignored, so that versions can differ; adding a message is preferred to
changing one. Times are Unix seconds of the sender's wall clock, for display only: no decision
rests on them. Output of jobs travels in binary frames (`codec.Chunk`), never in these.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from remote_protocol.ids import JobId, Name
from remote_protocol.limits import MAX_INVENTORY, MAX_RECALLED, MAX_STEPS
from remote_protocol.parts import (
    Assignment,
    Attempt,
    Capacity,
    Condition,
    Count,
    InventoryItem,
    Offset,
    Phase,
    Platform,
    Reference,
    Refusal,
    Ruling,
    Seconds,
    Settings,
    Step,
    Text,
    Usage,
    Verdict,
    Wishes,
    Word,
)
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason

__all__ = [
    "Accept",
    "Ack",
    "AgentMessage",
    "Assignment",
    "Attempt",
    "Cancel",
    "Capacity",
    "Condition",
    "Configure",
    "Confirm",
    "Ended",
    "Error",
    "Goodbye",
    "Heartbeat",
    "HeartbeatAck",
    "Hello",
    "InventoryItem",
    "Message",
    "Missing",
    "Offer",
    "Offset",
    "Phase",
    "Platform",
    "Recall",
    "Recalled",
    "Reference",
    "Refusal",
    "Refuse",
    "Resync",
    "Revive",
    "Rewind",
    "Ruling",
    "ServerMessage",
    "Settings",
    "Settled",
    "Started",
    "Step",
    "Superseded",
    "Text",
    "Usage",
    "Verdict",
    "Welcome",
    "Wish",
    "Wishes",
]


Version = Annotated[int, Field(ge=0, lt=1 << 31)]
"""A version of this protocol."""
Interval = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
"""Seconds, never zero."""


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True, extra="ignore")


# Agent → server ------------------------------------------------------------------------------


class Hello(Message):
    """First message of an agent, and its answer to `resync`: who it is and all it holds."""

    type: Literal["hello"] = "hello"
    oldest: Version
    newest: Version
    """Range of protocol versions that the agent speaks."""
    session: JobId
    """A ULID made for this link; echoed by the server."""
    agent_version: Word
    boot_id: Word = ""
    installation: Word = ""
    """Tells this installation of the agent from one that has its identity copied."""
    platform: Platform = Platform()
    settings: Settings = Settings()
    condition: Condition = Condition()
    inventory: list[InventoryItem] = Field(default_factory=list, max_length=MAX_INVENTORY)


class Accept(Message):
    """The attempt's directory is durable on the agent's disk. It starts when `confirm` comes;
    sent again after every welcome until it has started."""

    type: Literal["accept"] = "accept"
    job: JobId
    attempt: Attempt
    serial: Count = 0
    """That of the offer, when it came on this link."""


class Refuse(Message):
    """The attempt was not started and never will be."""

    type: Literal["refuse"] = "refuse"
    job: JobId
    attempt: Attempt
    serial: Count = 0
    reason: Refusal
    detail: Text = ""


class Started(Message):
    """The job's process exists."""

    type: Literal["started"] = "started"
    job: JobId
    attempt: Attempt
    pid: Annotated[int, Field(ge=0, lt=1 << 32)]
    at: Seconds


class Ended(Message):
    """The attempt is over; sent again until `settled` comes (I4)."""

    type: Literal["ended"] = "ended"
    job: JobId
    attempt: Attempt
    exit_code: Annotated[int, Field(ge=-(1 << 31), lt=1 << 32)] | None = None
    end_reason: EndReason
    end_detail: Text = ""
    size: Offset
    """Length of the whole log in bytes (CRI format)."""
    checksum: Annotated[int, Field(ge=0, lt=1 << 32)]
    """CRC-32 of the whole log (zlib's; ITU-T V.42)."""
    usage: Usage = Usage()
    started_at: Seconds | None = None
    ended_at: Seconds
    steps: list[Step] = Field(default_factory=list, max_length=MAX_STEPS)


class Missing(Message):
    """The log cannot be sent from where the server asked: what the agent still has goes on at
    `offset`. Acknowledged bytes are dropped from a long spool, and a disk may lose some. Since
    version 2."""

    type: Literal["missing"] = "missing"
    job: JobId
    attempt: Attempt
    offset: Offset


class Recalled(Message):
    """Answer to `recall`: settled attempts whose end the agent still knows. Since version 3."""

    type: Literal["recalled"] = "recalled"
    attempts: list[Reference] = Field(default_factory=list, max_length=MAX_RECALLED)


class Heartbeat(Message):
    """Liveness; renews every lease of the agent. Also sent at once when `condition` changes."""

    type: Literal["heartbeat"] = "heartbeat"
    seq: Annotated[int, Field(ge=1, lt=1 << 63)]
    condition: Condition = Condition()
    running: Count = 0
    """Attempts that the agent holds and that have not ended."""
    spool_bytes: Count = 0
    """Log bytes that the server has not acknowledged."""


class Goodbye(Message):
    """The agent is about to close the link on purpose."""

    type: Literal["goodbye"] = "goodbye"
    reason: Text = ""


AgentMessage = Annotated[
    Hello | Accept | Refuse | Started | Ended | Missing | Recalled | Heartbeat | Goodbye,
    Field(discriminator="type"),
]


# Server → agent ------------------------------------------------------------------------------


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
    wishes: Wishes = Wishes()
    rulings: list[Ruling] = Field(default_factory=list, max_length=MAX_INVENTORY)
    warning: Text = ""


class Offer(Message):
    """A lease for one attempt. Sent again, it changes nothing."""

    type: Literal["offer"] = "offer"
    job: JobId
    attempt: Attempt
    spec: JobSpec
    serial: Count = 0
    """Counts the offers of a link: tells the answer to a withdrawn offer from the answer to a later
    one of the same attempt."""


class Confirm(Message):
    """The acceptance is committed: start the attempt. Sent again, it changes nothing.

    Nothing starts without it: an offer whose acceptance was not committed has never run, so
    that the server may withdraw it and give the same attempt to another agent (I1).
    """

    type: Literal["confirm"] = "confirm"
    job: JobId
    attempt: Attempt


class Ack(Message):
    """Every log byte before `offset` has arrived."""

    type: Literal["ack"] = "ack"
    job: JobId
    attempt: Attempt
    offset: Offset


class Rewind(Message):
    """The log has to be sent again from `offset`: the length of the server's file, or 0 when that
    is damaged. Answered by the chunk at `offset`, or by `missing`."""

    type: Literal["rewind"] = "rewind"
    job: JobId
    attempt: Attempt
    offset: Offset


class Settled(Message):
    """The end is committed, with all of the log that could be had: forget the attempt."""

    type: Literal["settled"] = "settled"
    job: JobId
    attempt: Attempt


class Recall(Message):
    """An older copy of the database was restored: say what you have settled. Since version 3."""

    type: Literal["recall"] = "recall"


class Revive(Message):
    """Take these attempts up again, as ended ones, and say hello. Since version 3."""

    type: Literal["revive"] = "revive"
    attempts: list[Reference] = Field(default_factory=list, max_length=MAX_RECALLED)


class Cancel(Message):
    """Wish: end the attempt, politely first. Repeated until its end is reported."""

    type: Literal["cancel"] = "cancel"
    job: JobId
    attempt: Attempt
    reason: EndReason = EndReason.CANCELLED
    """The end reason to record: `cancelled`, or `timeout` when the server enforces it."""
    detail: Text = ""


class Superseded(Message):
    """The attempt is stale: kill it, forget it, send nothing more about it."""

    type: Literal["superseded"] = "superseded"
    job: JobId
    attempt: Attempt
    detail: Text = ""


class Wish(Message):
    """The operators' wishes changed."""

    type: Literal["wish"] = "wish"
    wishes: Wishes


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
    | Recall
    | Revive
    | Cancel
    | Superseded
    | Wish
    | Configure
    | HeartbeatAck
    | Resync
    | Error,
    Field(discriminator="type"),
]
