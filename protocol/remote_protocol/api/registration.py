"""Bodies of a host's registration as an agent. Pure."""

from __future__ import annotations

from remote_protocol.api.bodies import Body, View
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
