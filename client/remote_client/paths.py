"""Segments and queries of the API's paths, made of what people typed, and keys that make calls safe
to repeat. Reads the system's entropy."""

from __future__ import annotations

import os
from urllib.parse import quote

from remote_client.errors import UsageError


def segment(name: str) -> str:
    """A name as one segment of a path, whatever people typed (RFC 3986 §3.3).

    UsageError for what is no name but a step: no escape keeps `..` from being resolved.
    """
    if name in ("", ".", ".."):
        raise UsageError(f"{name!r} is not a name")
    return quote(name, safe="")


def given(**values: object) -> dict[str, str | list[str]]:
    """Parameters of a query: those that are not None. A sequence is repeated."""
    return {
        key: [str(one) for one in value] if isinstance(value, list | tuple) else str(value)
        for key, value in values.items()
        if value is not None
    }


def key() -> str:
    """A new idempotency key."""
    return os.urandom(16).hex()
