"""Bounds in time as queries give them: a time, or how long ago. Pure: now is an argument."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from remote_protocol.units import parse_duration

_EARLIEST: Final = 0.0
_LATEST: Final = 1e11


def parse_time_bound(text: str, now: float) -> float:
    """Unix seconds of `10m` (so long before `now`) or of a time in RFC 3339. ValueError."""
    try:
        found = now - parse_duration(text)
    except ValueError:
        found = _time(text)
    return min(max(found, _EARLIEST), _LATEST)


def _time(text: str) -> float:
    # In a query a bare + stands for a space.
    try:
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError(
            f"{text!r} is neither a duration, for example 10m, nor a time with its zone, for "
            "example 2026-11-26T09:00:00Z"
        )
    try:
        return found.timestamp()
    except OverflowError:
        return _EARLIEST


def _check(text: str) -> str:
    parse_time_bound(text, 0.0)
    return text


TimeBound = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_check)]
"""Text that `parse_time_bound` takes."""
