"""Sessions on a real database."""

from __future__ import annotations

from dataclasses import replace

from remote_server.domain.model import Session
from remote_server.store import Store
from remote_server.store.sessions import MOST_EACH
from tests.support.stored import NOW


async def a_session(store: Store, digest: str = "digest") -> Session:
    token = await store.create_token("api", f"token of {digest}", "laptop", NOW)
    return Session(digest, token.id, NOW, NOW, NOW + 100)


async def test_a_session_is_found_by_its_hash_until_it_ends(store: Store) -> None:
    session = await a_session(store)
    await store.begin_session(session, NOW - 10)
    assert await store.session("digest") == session
    await store.use_session("digest", NOW + 5)
    assert await store.session("digest") == replace(session, used_at=NOW + 5)
    told: list[set[str]] = []
    store.on_commit(lambda changes: told.append(changes.sessions))
    await store.end_session("digest", audited=False)
    assert await store.session("digest") is None
    assert told == [{"digest"}], "who shows its pages hears of it"
    await store.end_session("digest")


async def test_old_ones_go_when_one_begins(store: Store) -> None:
    session = await a_session(store)
    await store.begin_session(replace(session, hash="over", expires_at=NOW + 20), NOW - 10)
    await store.begin_session(replace(session, hash="unused", used_at=NOW + 5), NOW - 10)
    await store.begin_session(
        replace(session, created_at=NOW + 20, used_at=NOW + 20), unused_since=NOW + 5
    )
    found = [await store.session(name) for name in ("over", "unused", "digest")]
    assert [session is not None for session in found] == [False, False, True]


async def test_a_token_has_so_many_sessions(store: Store) -> None:
    session = await a_session(store)
    other = await a_session(store, "other")
    await store.begin_session(other, NOW - 10)
    for number in range(MOST_EACH):
        await store.begin_session(
            replace(session, hash=str(number), used_at=NOW + number), NOW - 10
        )
    await store.begin_session(replace(session, used_at=NOW + MOST_EACH), NOW - 10)
    assert await store.session("0") is None
    assert await store.session("1") is not None and await store.session("other") is not None
