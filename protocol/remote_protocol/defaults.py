"""Defaults of fields, made anew for each object. Pure."""

from __future__ import annotations

from typing import Any


def empty_list() -> list[Any]:
    """A list for `default_factory`, in place of `list` itself.

    pydantic looks at a factory's parameters. Those of `list` are read from a text, for which
    inspect compiles a pattern of all of Python's tokens: a fiftieth of an agent's start.
    """
    return []
