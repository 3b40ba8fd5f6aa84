"""Bodies of the calls about tokens. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal, Self

from pydantic import Field, model_validator

from remote_protocol.api.bodies import Body, View
from remote_protocol.defaults import empty_list
from remote_protocol.ids import JobId, Labels, Name, Role
from remote_protocol.limits import MAX_USES
from remote_protocol.parts import Queues
from remote_protocol.quantities import Span

EXPIRY_HEADER: Final = "Remote-Token-Expires"
"""Of answers to whoever's token ends within a week: when, as RFC 3339 has it."""


class TokenCreate(Body):
    """`POST /tokens`: an API token, or with `agent` the token of one agent to come."""

    name: Name
    role: Role = Role.VIEWER
    agent: Name | None = None
    queues: Queues = Field(default_factory=empty_list)
    """Of an API token: queues that it is limited to, for viewers and operators; empty: it is not.
    Of an agent's token: queues that its host may ask for; empty: the default queue."""
    any_queue: bool = False
    """Of an agent's token: its host may ask for every queue."""
    labels: Labels = Field(default_factory=dict)
    """Of an agent's token: labels that the server gives; the host cannot change them."""
    expires: Span | None = None
    """Seconds from now; null: never."""

    @model_validator(mode="after")
    def _what_fits(self) -> Self:
        if self.agent is None and (self.any_queue or self.labels):
            raise ValueError("any_queue and labels are for the token of an agent")
        if self.agent is None and self.queues and self.role is Role.ADMIN:
            raise ValueError(
                "an admin's token is not limited to queues, for it does everything; make it the "
                "token of an operator or a viewer"
            )
        _one_choice(self.queues, self.any_queue)
        return self


class RegistrationTokenCreate(Body):
    """`POST /registration-tokens`."""

    queues: Queues = Field(default_factory=empty_list)
    """Queues that agents may enrol for; empty: the default queue."""
    any_queue: bool = False
    """Agents may enrol for every queue."""
    labels: Labels = Field(default_factory=dict)
    """Labels that the server gives to these agents; their hosts cannot change them."""
    allow_replace: bool = False
    """A host may take over the name of another one, if the token covers that one's queues."""
    uses: int | None = Field(default=1, ge=1, le=MAX_USES)
    """How many agents may enrol; null: any number until it expires."""
    expires: Span | None = 3600.0

    @model_validator(mode="after")
    def _choice(self) -> Self:
        _one_choice(self.queues, self.any_queue)
        return self


def _one_choice(queues: list[str], any_queue: bool) -> None:
    if queues and any_queue:
        raise ValueError("name queues, or say any_queue, not both")


class TokenView(View):
    """A token without its secret."""

    id: JobId
    kind: Literal["registration", "agent", "api"]
    name: str
    role: Role | None = None
    agent: str | None = None
    queues: list[str] = Field(default_factory=empty_list)
    """Of an API token: those that it is limited to; empty: it is not limited."""
    any_queue: bool = False
    labels: dict[str, str] = Field(default_factory=dict)
    allow_replace: bool = False
    uses_left: int | None = None
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked: bool = False
    allowed_actions: list[str] = Field(default_factory=empty_list)
    """What the caller may do with it now: `revoke`."""


class TokenCreated(TokenView):
    """A token just made: the only time that its text is shown."""

    token: str
