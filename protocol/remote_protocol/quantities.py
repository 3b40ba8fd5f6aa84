"""Durations and sizes as types of models: what bodies, specifications and settings have. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from remote_protocol.units import (
    LONGEST_TEXT,
    MAX_AGE,
    MAX_DURATION,
    MAX_SIZE,
    parse_duration,
    parse_size,
)


def _number_or_text(number: dict[str, object], pattern: str, example: str) -> WithJsonSchema:
    """What may be sent; what is shown is always a number."""
    text = {"type": "string", "pattern": pattern, "maxLength": LONGEST_TEXT, "examples": [example]}
    return WithJsonSchema({"anyOf": [number, text]}, mode="validation")


def _seconds(**bounds: float) -> WithJsonSchema:
    return _number_or_text(
        {"type": "number", **bounds}, r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$", "1h30m"
    )


def _more_than_nothing(value: object) -> float:
    seconds = parse_duration(value)
    if not seconds:
        raise ValueError("zero is not a limit; leave it out for none, or give a duration above 0")
    return seconds


def _by_the_year(value: object) -> float:
    return parse_duration(value, MAX_AGE)


# The parsers keep the bounds. A bound of the type itself would silently win over that of a field:
# of two `ge` on one number, pydantic keeps the one that stands nearer to the type.
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    _seconds(minimum=0, maximum=MAX_DURATION),
]
"""Seconds; parsed from a number or from text like `1h30m`."""
Span = Annotated[
    float,
    BeforeValidator(_more_than_nothing),
    _seconds(exclusiveMinimum=0, maximum=MAX_DURATION),
]
"""A duration above zero."""
Age = Annotated[
    float,
    BeforeValidator(_by_the_year),
    _seconds(minimum=0, maximum=MAX_AGE),
]
"""A duration of up to ten years."""
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    _number_or_text(
        {"type": "integer", "minimum": 0, "maximum": MAX_SIZE},
        r"^[0-9]+(\.[0-9]+)? *([KMGTkmgt]([Ii]?[Bb]?)|[Bb])?$",
        "512MiB",
    ),
]
"""Bytes; parsed from a number or from text like `512MiB`."""
