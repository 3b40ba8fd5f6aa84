"""The body of an entry of the audit."""

from __future__ import annotations

from remote_protocol.api.audit import AuditEntry


def test_a_client_takes_what_a_later_server_adds() -> None:
    given = {
        "number": 1,
        "at": "2026-11-27T04:00:00Z",
        "actor_kind": "server",
        "actor": "server",
        "token_id": "",
        "address": "",
        "action": "server.start",
        "subject_kind": "server",
        "subject": "",
        "result": "ok",
        "hash": "0" * 64,
        "later": True,
    }
    found = AuditEntry.model_validate(given)
    assert (found.repeated, found.detail) == (0, {})
