"""Bodies of the calls that give lines of a log by number, or by the words they have. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from remote_protocol.api.bodies import View
from remote_protocol.defaults import empty_list


class LogLine(View):
    """What one stream wrote up to its line feed. Lines of both streams are counted together, from
    1, in the order in which they began; their numbers never change."""

    number: int | None
    """Null: lines before it are still being counted."""
    stream_number: int | None
    """Its place among the lines of its stream, from 1."""
    stream: Literal["stdout", "stderr"]
    time: str
    """Of its first record, as stored (RFC 3339, nanoseconds)."""
    text: str
    """What is no UTF-8 is replaced; of a line longer than 16 KiB, its first 8 KiB."""
    left_out: int = 0
    """Bytes after `text` that are left out."""
    rest: str = ""
    """The last 8 KiB of a line of which something is left out."""
    open: bool = False
    """It has no end yet."""


class LogLines(View):
    """Answer to `GET /jobs/{id}/log/lines`."""

    attempt: int
    items: list[LogLine]
    """May be fewer than were asked for: go on after the last one while `counted` is below `size`
    or `over` is false."""
    lines: int
    """Lines that are counted so far, of both streams."""
    counted: int
    """Position in the stored log up to which lines are counted; calling again counts on."""
    size: int
    """Bytes that are stored."""
    over: bool
    """Whether nothing more is printed."""


class LogMatch(View):
    """A line that has the words."""

    number: int
    stream_number: int


class LogMatches(View):
    """Answer to `GET /jobs/{id}/log/find`."""

    attempt: int
    items: list[LogMatch] = Field(default_factory=empty_list)
    """A line may be named again by the next call, when it began before that call's offset."""
    offset: int
    """Give it as `offset` to look on."""
    size: int
    done: bool
    """Whether all that is stored was looked through."""
