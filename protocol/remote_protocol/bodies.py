"""The two kinds of JSON that server and clients exchange. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """Something that a client sends: unknown fields are mistakes, and named."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class View(BaseModel):
    """Something that the server shows: clients ignore fields that they do not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")
