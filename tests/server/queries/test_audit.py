"""Entries of the audit as shown."""

from __future__ import annotations

import json

from remote_protocol.api.audit import AuditEntry
from remote_server.domain.audit import Recorded
from remote_server.queries.audit import audit_entry, audit_json, detail_of

ROW = Recorded(
    *(7, 1.5, "api", "alice", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "192.0.2.7", "job.cancel"),
    *("job", "01ARZ3NDEKTSV4RRFFQ69G5FAW", "ok", 0, '{"was":"running"}', "ab"),
)


def test_it_is_the_model_of_the_api() -> None:
    shown = audit_entry(ROW)
    assert AuditEntry.model_validate(json.loads(audit_json(ROW))) == shown
    assert (shown.at.timestamp(), shown.token_id, shown.detail) == (
        1.5,
        ROW.token,
        {"was": "running"},
    )


def test_a_detail_that_somebody_has_damaged_hides_nothing_else() -> None:
    for text in ("{", "[]", "1"):
        assert detail_of(ROW._replace(detail=text)) == {}
