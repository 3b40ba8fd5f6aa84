"""Durations and sizes as types of models: what bodies, specifications and settings have. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from remote_protocol.units import MAX_DURATION, MAX_SIZE, parse_duration, parse_size


def _more_than_nothing(value: object) -> float:
    seconds = parse_duration(value)
    if not seconds:
        raise ValueError("zero is not a limit; leave it out for none, or give a duration above 0")
    return seconds


Duration = Annotated[float, Field(ge=0, le=MAX_DURATION), BeforeValidator(parse_duration)]
"""Seconds; parsed from a number or from text like `1h30m`."""
Span = Annotated[float, Field(gt=0, le=MAX_DURATION), BeforeValidator(_more_than_nothing)]
"""A duration above zero."""
Size = Annotated[int, Field(ge=0, le=MAX_SIZE), BeforeValidator(parse_size)]
"""Bytes; parsed from a number or from text like `512MiB`."""
