"""Where a job belongs among traces (W3C Trace Context, Level 1). Pure.

The ids of a job's spans are made from its own id: nothing is stored or sent for them, and server
and agent name the same span. A job that came with a `traceparent` continues that trace; else its
own id is that of a new one.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Annotated, Final, NamedTuple

from pydantic import AfterValidator, StringConstraints

from remote_protocol.ids import ulid_to_bytes

HEADER: Final = "traceparent"
VARIABLE: Final = "TRACEPARENT"
_LENGTH: Final = 55
_TEXT: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.ASCII)
_LATER: Final = re.compile(r"(?!00|ff)[0-9a-f]{2}-.{52}(-|\Z)", re.ASCII)
_SAMPLED: Final = "01"


class Part(IntEnum):
    """The spans of a job; all but the first one and the last one are of an attempt."""

    JOB = 0
    QUEUE = 1
    DISPATCH = 2
    RUN = 3
    UPLOAD = 4
    SUBMIT = 5


class Trace(NamedTuple):
    """Where a job belongs."""

    id: str
    """32 hexadecimal digits."""
    parent: str
    """The span that it was submitted by, 16 digits; empty: none."""
    flags: str
    """Two digits: whether whoever submitted it records the trace."""


def check_traceparent(text: str) -> str:
    """A text as section 3.2 of the recommendation has it. ValueError otherwise."""
    found = _TEXT.fullmatch(text)
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        raise ValueError(
            "it is no traceparent of W3C Trace Context, for example"
            " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        )
    return text


TraceParent = Annotated[
    str, StringConstraints(max_length=_LENGTH), AfterValidator(check_traceparent)
]


def usable(text: str | None) -> str | None:
    """The text, if it can be continued; whoever gets another one begins a new trace. Of a later
    version, what this one knows counts (section 4.3 of the recommendation)."""
    if text is None:
        return None
    if _LATER.match(text):
        text = f"00{text[2:_LENGTH]}"
    try:
        return check_traceparent(text)
    except ValueError:
        return None


def trace_of(job: str, given: str | None) -> Trace:
    """That of a job, which may have been `given` a traceparent."""
    if given is None:
        return Trace(ulid_to_bytes(job).hex(), "", _SAMPLED)
    _, trace, parent, flags = given.split("-")
    return Trace(trace, parent, flags)


def span_of(job: str, part: Part = Part.JOB, attempt: int = 0) -> str:
    """The id of one of a job's spans: 16 hexadecimal digits."""
    return _span(ulid_to_bytes(job), part, attempt)


def _span(raw: bytes, part: Part, attempt: int) -> str:
    own = int.from_bytes(raw[8:], "big")
    return f"{own ^ (attempt << 8 | part) or 1:016x}"


def traceparent_for(job: str, attempt: int, given: str | None) -> str:
    """What the programs of an attempt continue: its span `run`."""
    raw = ulid_to_bytes(job)
    span = _span(raw, Part.RUN, attempt)
    if given is None:
        return f"00-{raw.hex()}-{span}-{_SAMPLED}"
    _, trace, _, flags = given.split("-")
    return f"00-{trace}-{span}-{flags}"
