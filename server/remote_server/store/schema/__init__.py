"""The tables. Times are Unix seconds; JSON is kept as text; flags are 0 or 1. No I/O.

Each subject has a module, and one metadata holds them all. Every type is plain, because the
statements run without SQLAlchemy's type layer (statements.py). Texts are ordered by their bytes
everywhere, whatever the collation of the database.
"""

from __future__ import annotations

from typing import Final

from remote_server.store.schema.access_tables import logins, sessions, tokens
from remote_server.store.schema.base import metadata
from remote_server.store.schema.content_tables import content_claims, contents, job_contents
from remote_server.store.schema.fleet_tables import agents, queues
from remote_server.store.schema.group_tables import groups
from remote_server.store.schema.job_tables import (
    HELD,
    LIVE_STATES,
    artifact_sets,
    artifacts,
    attempts,
    jobs,
    outputs,
    specs,
    timeline,
)
from remote_server.store.schema.secret_tables import private_inputs, secrets
from remote_server.store.schema.server_tables import audit, meta
from remote_server.store.schema.webhook_tables import deliveries, webhook_states, webhooks

__all__ = [
    "HEAD",
    "HELD",
    "LIVE_STATES",
    "agents",
    "artifact_sets",
    "artifacts",
    "attempts",
    "audit",
    "content_claims",
    "contents",
    "deliveries",
    "groups",
    "job_contents",
    "jobs",
    "logins",
    "meta",
    "metadata",
    "outputs",
    "private_inputs",
    "queues",
    "secrets",
    "sessions",
    "specs",
    "timeline",
    "tokens",
    "webhook_states",
    "webhooks",
]

HEAD: Final = "0016"
"""The newest migration; a test compares it with the folder migrations/versions."""
