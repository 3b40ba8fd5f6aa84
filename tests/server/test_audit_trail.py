"""The audit of what no transaction tells: nobody waits for it, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from remote_server import audit_trail
from remote_server.audit_trail import AuditTrail
from remote_server.domain.audit import Entry
from remote_server.domain.audit_budget import WINDOW
from remote_server.domain.model import Principal
from remote_server.errors import StoreUnavailable
from remote_server.store import Store

STRANGER = Principal("", "", "192.0.2.1", "unknown")
REFUSED = Entry(STRANGER, "session.sign_in", "session", "", {}, "invalid_token")


class FakeStore(Store):
    def __init__(self) -> None:
        self.written: list[Entry] = []
        self.away = False

    async def record_audit(self, entries: Sequence[Entry]) -> None:
        if self.away:
            raise StoreUnavailable("away")
        self.written += entries


def made(most: int = 10) -> tuple[AuditTrail, FakeStore, list[float]]:
    store, now = FakeStore(), [0.0]
    return AuditTrail(store, lambda: now[0], most), store, now


async def test_the_first_of_a_kind_and_then_how_many() -> None:
    trail, store, now = made()
    for _ in range(413):
        trail.note("kind", REFUSED)
    assert await trail.write()
    assert store.written == [REFUSED]
    now[0] = WINDOW
    await trail.write()
    assert store.written == [REFUSED, REFUSED._replace(repeated=412)]


async def test_what_a_caller_writes_itself_is_counted_as_well() -> None:
    trail, store, now = made()
    assert [trail.admits("kind", REFUSED) for _ in range(3)] == [True, False, False]
    now[0] = WINDOW
    await trail.write()
    assert store.written == [REFUSED._replace(repeated=2)]


async def test_a_database_that_is_away_costs_no_entry() -> None:
    trail, store, _ = made()
    store.away = True
    trail.note(1, REFUSED)
    assert not await trail.write()
    store.away = False
    trail.note(2, REFUSED)
    assert await trail.write()
    assert store.written == [REFUSED, REFUSED]


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_trail, "MOST_WAITING", 5)
    trail, store, now = made(most=1000)
    store.away = True
    for number in range(50):
        trail.note(number, REFUSED)
    store.away = False
    await trail.write()
    assert len(store.written) == 5
    now[0] = WINDOW
    await trail.write()
    assert [entry.repeated for entry in store.written] == [0] * 5 + [45]
