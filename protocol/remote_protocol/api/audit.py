"""Bodies of the calls about the audit. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from remote_protocol.api.bodies import View


class AuditEntry(View):
    """Who did what to what, from where, with what result."""

    number: int
    """From 1 on, without gaps; `GET /audit/stream?after=` resumes after it."""
    at: datetime
    actor_kind: str
    """`api`, `agent`, `registration`: the kind of the actor's token; `server`, `command_line`
    (`remote-server` on its host), or `unknown`."""
    actor: str
    """The name of the actor's token; of an agent its own one; on a command line the user's."""
    token_id: str
    """The id of the actor's token; empty for one without."""
    address: str
    """The actor's network address; empty where there is none."""
    action: str
    """`job.cancel`, `agent.update`, `session.sign_in`, …"""
    subject_kind: str
    """`agent`, `job`, `queue`, `token`, …"""
    subject: str
    """Its name or id."""
    result: str
    """`ok`, or the code of the refusal."""
    repeated: int = 0
    """It stands for so many more like the entry before it."""
    detail: dict[str, Any] = Field(default_factory=dict)
    """What else is known of it; never a secret."""
    hash: str
    """SHA-256 over the former entry's hash and this one's content."""
