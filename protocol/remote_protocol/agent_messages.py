"""What agents say to the server: one frozen type for each message. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, final

from pydantic import Field, StringConstraints

from remote_protocol.artifacts import ArtifactCount, ArtifactName, ArtifactNumber, Sha256
from remote_protocol.attempt_id import AttemptId
from remote_protocol.contents import ContentNumber
from remote_protocol.defaults import empty_list
from remote_protocol.ids import JobId
from remote_protocol.limits import (
    MAX_CONTENT_PART,
    MAX_INVENTORY,
    MAX_LOG_LINE,
    MAX_LOG_LINES,
    MAX_PART,
    MAX_STEPS,
)
from remote_protocol.outputs import Outputs
from remote_protocol.parts import (
    Condition,
    Count,
    HostLoad,
    InventoryItem,
    Message,
    Offset,
    Platform,
    Refusal,
    Seconds,
    Settings,
    Step,
    Text,
    Usage,
    Version,
    Word,
)
from remote_protocol.states import EndReason

Rest = Annotated[int, Field(ge=0, le=MAX_INVENTORY)]
"""How many attempts follow in further parts."""
LogLine = Annotated[str, StringConstraints(max_length=MAX_LOG_LINE)]
"""A line of the agent's own log."""


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
    installation: Annotated[Word, Field(min_length=1)]
    """Tells this installation of the agent from one that has its identity copied."""
    process: Word = ""
    """Made anew at each start of the agent; empty: it cannot be restarted from the server."""
    platform: Platform = Platform()
    settings: Settings = Settings()
    condition: Condition = Condition()
    inventory: list[InventoryItem] = Field(default_factory=empty_list, max_length=MAX_PART)
    """All it holds, or the first part of it."""
    following: Rest = 0


class Inventory(Message):
    """A further part of a hello's inventory, directly after it."""

    type: Literal["inventory"] = "inventory"
    items: list[InventoryItem] = Field(min_length=1, max_length=MAX_PART)
    following: Rest = 0


class Accept(Message):
    """The attempt's directory is durable on the agent's disk. It starts when `confirm` comes;
    sent again after every welcome until it has started."""

    type: Literal["accept"] = "accept"
    attempt: AttemptId
    serial: Count = 0
    """That of the offer, when it came on this link."""


class Refuse(Message):
    """The attempt was not started and never will be."""

    type: Literal["refuse"] = "refuse"
    attempt: AttemptId
    serial: Count = 0
    reason: Refusal
    detail: Text = ""


class Started(Message):
    """The job's process exists."""

    type: Literal["started"] = "started"
    attempt: AttemptId
    pid: Annotated[int, Field(ge=0, lt=1 << 32)]
    at: Seconds


class Ended(Message):
    """The attempt is over; sent again until `settled` comes (I4)."""

    type: Literal["ended"] = "ended"
    attempt: AttemptId
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
    steps: list[Step] = Field(default_factory=empty_list, max_length=MAX_STEPS)
    # Absent for most jobs, and then neither written nor read.
    outputs: Outputs | None = None
    """What the job has written to `REMOTE_OUTPUTS`."""
    outputs_warning: Text | None = None
    """What of that was left out or changed, and why."""
    artifacts: ArtifactCount | None = None
    """How many files it has left in `REMOTE_ARTIFACTS`; they come after this is settled."""
    artifacts_warning: Text | None = None
    """Which files there are left out, and why."""


class Artifact(Message):
    """A file that the job of a settled attempt gives back: the answer says from where on it is
    wanted. Said again on every link until the server has it or does not want it."""

    type: Literal["artifact"] = "artifact"
    attempt: AttemptId
    number: ArtifactNumber
    name: ArtifactName
    size: Offset
    checksum: Sha256
    """Of all its bytes (FIPS 180-4)."""


class ArtifactLost(Message):
    """The agent gives a file up: it cannot be read, or changes."""

    type: Literal["artifact_lost"] = "artifact_lost"
    attempt: AttemptId
    number: ArtifactNumber
    name: ArtifactName
    reason: Text


class Missing(Message):
    """The log cannot be sent from where the server asked: what the agent still has goes on at
    `offset`. Acknowledged bytes are dropped from a long spool, and a disk may lose some."""

    type: Literal["missing"] = "missing"
    attempt: AttemptId
    offset: Offset


class ReadInput(Message):
    """The agent's copy of the job's input has `offset` bytes: send what follows, now and as the
    input grows, and then its end. Said when the attempt is confirmed, after every welcome, and
    whenever something between was lost."""

    type: Literal["read_input"] = "read_input"
    attempt: AttemptId
    offset: Offset


class InputAck(Message):
    """Every byte of the input before `offset` is in the agent's copy."""

    type: Literal["input_ack"] = "input_ack"
    attempt: AttemptId
    offset: Offset


class ReadContent(Message):
    """Send `size` bytes of a content from `offset` on, in chunks: what the confirmed attempt names
    as its content `number` and this agent lacks. Said again when they do not come; with size 0 it
    only says how far the agent is."""

    type: Literal["read_content"] = "read_content"
    attempt: AttemptId
    number: ContentNumber
    offset: Offset
    size: Annotated[int, Field(ge=0, le=MAX_CONTENT_PART)]


@final
class Heartbeat(Message):
    """Liveness; renews every lease of the agent. Also sent at once when `condition` changes."""

    type: Literal["heartbeat"] = "heartbeat"
    seq: Annotated[int, Field(ge=1, lt=1 << 63)]
    condition: Condition = Condition()
    running: Count = 0
    """Attempts that the agent holds and that have not ended."""
    spool_bytes: Count = 0
    """Log bytes that the server has not acknowledged."""
    load: HostLoad | None = None
    """How busy the host is, when there is something new to say."""


class OwnLog(Message):
    """Some lines of the agent's own log, each safe and short already where the agent is honest. One
    of these is on its way at a time."""

    type: Literal["own_log"] = "own_log"
    cursor: Word
    """Where the lines after them begin, in the agent's own words; said again by the server."""
    lines: list[LogLine] = Field(default_factory=empty_list, max_length=MAX_LOG_LINES)


class Goodbye(Message):
    """The agent is about to close the link on purpose."""

    type: Literal["goodbye"] = "goodbye"
    reason: Text = ""


AgentMessage = Annotated[
    Hello
    | Inventory
    | Accept
    | Refuse
    | Started
    | Ended
    | Artifact
    | ArtifactLost
    | Missing
    | ReadInput
    | InputAck
    | ReadContent
    | Heartbeat
    | OwnLog
    | Goodbye,
    Field(discriminator="type"),
]
