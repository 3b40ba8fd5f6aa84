"""What a query of the audit means."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_server.store.audit import AuditFilter
from remote_server.web.actions.audit import AuditQuery


def test_a_subject_may_have_its_kind() -> None:
    for given, kind, name in (
        ("web-7", None, "web-7"),
        ("agent:web-7", "agent", "web-7"),
        ("queue:", "queue", None),
        ("registration_token:01", "registration_token", "01"),
        ("GET /api:x", None, "GET /api:x"),
    ):
        found = AuditQuery(subject=given).filter(0)
        assert (found.kind, found.subject) == (kind, name), given


def test_times_may_be_durations() -> None:
    found = AuditQuery(since="1h", until="1970-01-01T01:00:00Z").filter(7200)
    assert (found.since, found.until) == (3600, 3600)


def test_nothing_given_is_everything() -> None:
    assert AuditQuery().filter(1) == AuditFilter()


def test_words_are_bounded() -> None:
    for word in ("", "x" * 257, "a\0b"):
        with pytest.raises(ValidationError):
            AuditQuery(actor=word)
