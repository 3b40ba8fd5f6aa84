"""JSON as shims write and read it, for each job several times. Pure.

A tenth of what a shim did for a short job was `json` working out floating-point numbers to their
last digit and looking at what a short document cannot have. Here fractions have six digits, for
times are in seconds and clocks tell no more, and each type has its writer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Any, Final

quote: Final[Callable[[str], str]] = encode_basestring_ascii
"""A text as JSON."""
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
_DECODER: Final = json.JSONDecoder()


def encode(value: object) -> str:
    """A value as JSON, in ASCII without blanks. TypeError for what JSON does not know."""
    return _WRITERS.get(type(value), _ENCODER.encode)(value)


def decode(data: bytes) -> Any:
    """The value that is all of `data`. ValueError, RecursionError when it is none."""
    text = data.decode().strip()
    value, end = _DECODER.raw_decode(text)
    if end != len(text):
        raise ValueError("something follows the JSON")
    return value


def fields(body: Mapping[str, Any]) -> str:
    """An object's fields as JSON, without the braces."""
    writers, other = _WRITERS, _ENCODER.encode
    return ",".join(
        [f"{quote(name)}:{writers.get(type(value), other)(value)}" for name, value in body.items()]
    )


@lru_cache(maxsize=16)
def moment(at: float) -> str:
    """A Unix time as JSON. That of a start stands in four places, and working out so many digits is
    slow."""
    return f"{at:.6f}"


def _object(body: dict[str, Any]) -> str:
    return f"{{{fields(body)}}}"


def _array(values: list[Any] | tuple[Any, ...]) -> str:
    return f"[{','.join([encode(value) for value in values])}]"


def _fraction(value: float) -> str:
    return f"{value:.6f}" if value else "0.0"


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    str: quote,
    int: repr,
    float: _fraction,
    bool: {False: "false", True: "true"}.__getitem__,
    type(None): lambda _: "null",
    dict: _object,
    list: _array,
    tuple: _array,
}
