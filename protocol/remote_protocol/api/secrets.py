"""Bodies of the calls about secrets: values that jobs get by name, and that nobody gets back. Pure.

A value goes in and is shown by nothing: no view has one, and its body keeps it out of its repr.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from remote_protocol.api.bodies import Body, View
from remote_protocol.defaults import empty_list
from remote_protocol.parts import Queues

MAX_SECRET: Final = 64 * 1024
"""Bytes of one value in UTF-8: less than the 128 KiB that Linux takes in one variable."""


def _value(text: str) -> str:
    # Nothing of the value may be in the words.
    if "\0" in text:
        raise ValueError("holds a NUL character, which no variable of an environment can")
    if len(text.encode("utf-8", "replace")) > MAX_SECRET:
        raise ValueError(f"has more than {MAX_SECRET} bytes, which is the most")
    return text


SecretValue = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_SECRET),
    AfterValidator(_value),
    Field(repr=False),
]


class SecretScope(Body):
    """Which jobs get a secret: those of some queues, or of all."""

    queues: Queues | None = None
    """The queues whose jobs get it."""
    all_queues: bool | None = None
    """Jobs of every queue get it, also of those that come later."""

    @model_validator(mode="after")
    def _one_of_them(self) -> SecretScope:
        if self.all_queues and self.queues:
            raise ValueError("names queues and all queues: give one of queues and all_queues")
        if self.all_queues is False and self.queues is None:
            raise ValueError("all_queues is false, and queues does not say which instead")
        return self


class SecretPut(SecretScope):
    """`PUT /secrets/{name}`. Without `queues` and `all_queues` a secret that exists keeps its
    queues, and a new one is for the default queue."""

    value: SecretValue


class SecretChange(SecretScope):
    """`PATCH /secrets/{name}`: who gets it. The value stays."""

    @model_validator(mode="after")
    def _something(self) -> SecretChange:
        if self.queues is None and self.all_queues is None:
            raise ValueError("changes nothing: give queues or all_queues")
        return self


class SecretView(View):
    """A secret without its value."""

    name: str
    queues: list[str] = Field(default_factory=empty_list)
    """The queues whose jobs get it; empty with `all_queues`, or when all of them were deleted."""
    all_queues: bool = False
    key_id: str
    """Tells which of the server's keys its value is encrypted with."""
    created_at: datetime
    created_by: str
    updated_at: datetime
    """When its value or its queues were last set."""
    updated_by: str
    problem: str = ""
    """Why no job gets it now: the server's key is lost, for example."""
