"""The two kinds of JSON that server and clients exchange, and what many of them share. Pure.

Times are RFC 3339 in UTC. Everything that is printed with `--output json` is a view."""

from __future__ import annotations

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from remote_protocol.ids import JobId

Item = TypeVar("Item")


class Body(BaseModel):
    """Something that a client sends: unknown fields are mistakes, and named.

    Like views, each is made ready when it is first used, so that the server starts sooner.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class View(BaseModel):
    """Something that the server shows: clients ignore fields that they do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)


class Page(View, Generic[Item]):
    """One page of a list."""

    items: list[Item]
    next_cursor: str | None = None
    """Give it as `cursor` to get the next page; null on the last one."""


class Nothing(Body):
    """The body of a call that takes none: it may be left out."""


class Actor(View):
    """Who did something: the API token that it was done with."""

    id: JobId
    """The token's id."""
    name: str
    """Its name."""
