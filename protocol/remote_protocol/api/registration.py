"""Bodies of a host's registration as an agent. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from remote_protocol.api.bodies import Body, View
from remote_protocol.defaults import empty_list
from remote_protocol.ids import Name
from remote_protocol.parts import (
    Assignment,
    Platform,
    Settings,
    Word,
)


class Registration(Body):
    """What `remote-agent register` sends, with a registration or agent token as bearer."""

    name: Name
    settings: Settings = Settings()
    replace: bool = False
    """Take over a name that another host holds."""
    ephemeral: bool = False
    """Delete the agent when it ends."""
    agent_version: Word = ""
    platform: Platform = Platform()
    fingerprint: Word = ""
    """Random text made once by the host: tells the same host again from another one."""


class Registered(View):
    """Answer to a registration."""

    name: Name
    token: str | None = None
    """The agent's own token; null when it registered with its own and keeps it."""
    assignment: Assignment
    changed: bool = True
    """False when these settings were known already."""


class QueueStanding(View):
    """A queue, as far as it matters to an agent that serves it."""

    name: Name
    exists: bool = True
    paused: bool = False


class RegistrationView(View):
    """`GET /agent/registration`: what the server knows of the bearer of a token."""

    kind: Literal["registration", "agent"]
    name: Name | None = None
    """The agent that the token belongs to."""
    registered: bool = False
    """Whether that agent has registered."""
    assignment: Assignment | None = None
    """What it has been given; null before it has registered."""
    paused: bool = False
    pause_comment: str = ""
    draining: bool = False
    queues: list[QueueStanding] = Field(default_factory=empty_list)
    """Those of the assignment; of a registration token: those that it names."""
    any_queue: bool = False
    """The token covers every queue."""
    uses_left: int | None = None
    """How many agents may still enrol with a registration token; null: any number."""
    expires_at: datetime | None = None
