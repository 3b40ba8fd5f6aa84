"""What messages are made of: the platform, settings, desired mode, usage of an agent … Pure.

Used by messages and by HTTP bodies alike. Unknown fields are ignored, so that versions can differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from remote_protocol.attempt_id import AttemptId
from remote_protocol.defaults import empty_list
from remote_protocol.ids import WITHOUT_NUL, Labels, Name, at_most
from remote_protocol.limits import (
    MAX_CAPACITY,
    MAX_CLASSES,
    MAX_KINDS,
    MAX_QUEUES,
    MAX_TEXT,
    MAX_WORD,
)

Text = Annotated[str, StringConstraints(max_length=MAX_TEXT)]
"""A sentence for people, of a message. It may quote whatever a job or a host has: no report is
refused for a character in it."""
Comment = Annotated[Text, WITHOUT_NUL]
"""A sentence that people give: comment, reason, description."""
Word = Annotated[str, StringConstraints(max_length=MAX_WORD), WITHOUT_NUL]
"""A version, a host's name, an identifier."""
Offset = Annotated[int, Field(ge=0, lt=1 << 63)]
Seconds = Annotated[float, Field(ge=0, le=1e11, allow_inf_nan=False)]
"""A duration, or a Unix time that a calendar still has."""
Count = Annotated[int, Field(ge=0, lt=1 << 63)]
"""Something that is counted; as much as a database keeps."""
Queues = Annotated[list[Name], Field(max_length=MAX_QUEUES)]
Capacity = Annotated[
    dict[Name, Annotated[int, Field(ge=0, le=MAX_CAPACITY)]],
    Field(max_length=MAX_CLASSES),
    BeforeValidator(at_most(MAX_CLASSES, "capacity classes")),
]
"""Jobs at a time for each capacity class; `default` serves every queue without its own class."""
Version = Annotated[int, Field(ge=0, lt=1 << 31)]
"""A version of this protocol."""
Interval = Annotated[float, Field(gt=0, le=1e9, allow_inf_nan=False)]
"""Seconds, never zero."""


class Message(BaseModel):
    """Base of all messages. Each is made ready when it is first used: no program uses all."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Part(BaseModel):
    """Base of what messages are made of."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Platform(Part):
    """What an agent runs on, for people to read."""

    system: Word = ""
    release: Word = ""
    machine: Word = ""
    hostname: Word = ""
    python: Word = ""
    kinds: Annotated[list[Word], Field(max_length=MAX_KINDS)] = Field(default_factory=empty_list)
    """Kinds of jobs that it runs besides those that every agent does."""


class Settings(Part):
    """What a host's own configuration says about its agent; None: not said there."""

    queues: Queues | None = None
    labels: Labels | None = None
    capacity: Capacity | None = None


class Assignment(Part):
    """What holds for an agent now, decided by the server."""

    queues: Queues
    labels: Labels = Field(default_factory=dict)
    capacity: Capacity


class DesiredMode(Part):
    """What operators want of an agent; said again at every welcome until the facts agree (I7)."""

    paused: bool = False
    comment: Text = ""
    draining: bool = False
    drain_deadline: Seconds | None = None
    """Seconds from the operator's call until jobs that still run are cancelled."""
    restart: Word = ""
    """The process of the agent (`process` of its hello) that is to make room for a new one, with
    its jobs running on; empty: none. Another process has nothing to do: it is the new one."""


class Condition(Part):
    """Whether an agent takes jobs, as the agent itself sees it."""

    accepting: bool = True
    reason: Text = ""
    """A sentence when it does not: paused on the host, draining, disk below its reserve …"""
    draining: bool = False


class HostLoad(Part):
    """How busy an agent's host is; null: the system does not say. Sizes in bytes."""

    cpu: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    """Percent of all processors, since the sample before."""
    memory_free: Offset | None = None
    """What programs could still get without swapping."""
    memory_total: Offset | None = None
    disk_free: Offset | None = None
    """Of the disk that jobs write to."""
    disk_total: Offset | None = None
    load: Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)] | None = None
    """Processes that ran or waited to, over the last minute."""


class Usage(Part):
    """What an attempt used: CPU in seconds, peak resident memory and output in bytes."""

    cpu_user: Seconds = 0.0
    cpu_system: Seconds = 0.0
    max_rss: Offset = 0
    stdout_bytes: Offset = 0
    stderr_bytes: Offset = 0
    duration: Seconds = 0.0
    """Seconds from spawn to exit, by the host's monotonic clock."""


class Step(Part):
    """One thing that a host did with an attempt, for the timeline."""

    at: Seconds
    what: Word
    """`spawned`, which the timeline has as `started`, `interrupt`, `kill`, `first_output` …"""
    detail: Text = ""


class Phase(StrEnum):
    """How far an attempt has come on its agent."""

    ACCEPTED = "accepted"
    RUNNING = "running"
    ENDED = "ended"


class InventoryItem(Part):
    """One attempt that the agent still holds (I6)."""

    attempt: AttemptId
    phase: Phase
    size: Offset = 0
    """Length of its spool in bytes."""


_P = TypeVar("_P")


def parts(items: Sequence[_P], size: int) -> Iterator[tuple[list[_P], int]]:
    """A long list in parts of at most `size`, each with the number of items that follow in further
    ones; one empty part when there are none."""
    for start in range(0, max(1, len(items)), size):
        part = list(items[start : start + size])
        yield part, len(items) - start - len(part)


class Verdict(StrEnum):
    """What the agent has to do with an attempt of its inventory."""

    KEEP = "keep"
    """Go on; send its log from `offset`, and again what the server has not acknowledged."""
    SUPERSEDED = "superseded"
    """Kill it and forget it: the job is no longer this attempt's."""
    SETTLED = "settled"
    """The server has its end and its whole log: forget it."""


class Ruling(Part):
    """The server's verdict on one attempt of an inventory."""

    attempt: AttemptId
    verdict: Verdict
    offset: Offset = 0
    detail: Text = ""


class Refusal(StrEnum):
    """Why an agent does not take an offer."""

    STALE = "stale"
    """It cannot prove that the offer is younger than its time to live, or the attempt has run
    here."""
    PAUSED = "paused"
    DRAINING = "draining"
    CAPACITY = "capacity"
    DISK = "disk"
    POLICY = "policy"
    """The agent never runs such a job: it ends as `rejected`."""

    @property
    def final(self) -> bool:
        """Whether no other offer of the same job makes sense."""
        return self is Refusal.POLICY
