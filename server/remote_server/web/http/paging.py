"""Cursors of lists that are short enough to be sorted in memory: queues, agents, tokens. Pure."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from remote_server.web.http.problems import validation

T = TypeVar("T")
FOREIGN: Final = "is not a cursor of this list; give next_cursor of the former page"


def page(
    items: Iterable[T], name: Callable[[T], str], limit: int, cursor: str | None
) -> tuple[list[T], str | None]:
    """At most `limit` items after `cursor`, by `name`, and the cursor of the next page.

    ApiProblem when the cursor was not made here.
    """
    ordered = sorted(items, key=name)
    if cursor is not None:
        after = decode(cursor)
        ordered = [item for item in ordered if name(item) > after]
    chosen = ordered[:limit]
    return chosen, encode(name(chosen[-1])) if len(ordered) > limit else None


def encode(name: str) -> str:
    """A cursor after the item with this name."""
    return urlsafe_b64encode(name.encode()).rstrip(b"=").decode()


def decode(cursor: str) -> str:
    """The name in a cursor. ApiProblem when there is none."""
    try:
        return b64decode(cursor + "=" * (-len(cursor) % 4), "-_", validate=True).decode()
    except ValueError:
        raise validation([("cursor", FOREIGN)]) from None
