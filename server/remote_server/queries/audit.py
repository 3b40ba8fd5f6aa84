"""Entries of the audit as they are shown. Pure."""

from __future__ import annotations

import json
from typing import Any

from remote_protocol.api.audit import AuditEntry
from remote_server.domain.audit import Recorded
from remote_server.queries.views import when


def audit_entry(row: Recorded) -> AuditEntry:
    """One entry as shown."""
    return AuditEntry.model_construct(
        number=row.number,
        at=when(row.at),
        actor_kind=row.actor_kind,
        actor=row.actor,
        token_id=row.token,
        address=row.address,
        action=row.action,
        subject_kind=row.kind,
        subject=row.subject,
        result=row.result,
        repeated=row.repeated,
        detail=detail_of(row),
        hash=row.hash,
    )


def audit_json(row: Recorded) -> str:
    """The same as one line of JSON."""
    return audit_entry(row).model_dump_json()


def detail_of(row: Recorded) -> dict[str, Any]:
    """The detail; empty where somebody has made it unreadable, which the check says."""
    try:
        found = json.loads(row.detail)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
