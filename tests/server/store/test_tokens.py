"""Tokens on a real database: only their hashes are there."""

from __future__ import annotations

import pytest

from remote_protocol.ids import Role
from remote_server.domain.change_set import ChangeSet
from remote_server.errors import NotFound, UnknownQueue
from remote_server.store import Store, Terms
from tests.support.stored import NOW


async def test_a_token_is_found_by_its_hash(store: Store) -> None:
    made = await store.create_token(
        "api", "digest", "ci", NOW, role=Role.OPERATOR, expires_at=NOW + 90
    )
    found = await store.token_by_hash("digest")
    assert found == made == await store.token(made.id)
    assert (made.kind, made.role, made.expires_at, made.revoked) == (
        "api",
        Role.OPERATOR,
        NOW + 90,
        False,
    )
    assert await store.token_by_hash("other") is None


async def test_tokens_are_listed_by_kind(store: Store) -> None:
    await store.create_token("api", "1", "x", NOW)
    await store.create_token("registration", "2", "y", NOW + 1, queues=("default",), uses=3)
    assert [token.name for token in await store.tokens()] == ["x", "y"]
    (token,) = await store.tokens("registration")
    assert (token.queues, token.uses_left) == (("default",), 3)
    with pytest.raises(UnknownQueue):
        await store.create_token("registration", "3", "z", NOW, queues=("nowhere",))


async def test_a_revoked_token_stays_revoked(store: Store) -> None:
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    token = await store.create_token("api", "1", "x", NOW)
    assert (await store.revoke(token.id)).revoked
    assert (await store.revoke(token.id)).revoked
    found = await store.token_by_hash("1")
    assert found is not None and found.revoked
    assert [changes.tokens for changes in told] == [{token.id}] * 3
    assert [changes.revoked for changes in told] == [{}] + [{token.id: "the token was revoked"}] * 2
    with pytest.raises(NotFound, match="no token 'x'"):
        await store.revoke("x")


async def test_the_last_use_is_noted(store: Store) -> None:
    token = await store.create_token("api", "1", "x", NOW)
    await store.touch(token.id, NOW + 5)
    assert (await store.token(token.id)).last_used_at == NOW + 5


async def test_a_token_made_offline_is_seen_at_once(store: Store, database_url: str) -> None:
    other = await Store.open(database_url, Terms(guest=True))
    await other.create_token("api", "offline", "admin", NOW, role=Role.ADMIN)
    await other.close()
    assert await store.token_by_hash("offline") is not None


async def test_tokens_come_in_pages_the_newest_first(store: Store) -> None:
    made = [await store.create_token("api", str(n), f"t{n}", NOW + n) for n in range(4)]
    await store.create_token("agent", "other", "a", NOW + 9, agent="a")
    await store.revoke(made[2].id)
    first = await store.newest_tokens("api", 2)
    assert [token.name for token in first] == ["t3", "t1"]
    assert [t.name for t in await store.newest_tokens("api", 2, first[-1].id)] == ["t0"]
    everything = await store.newest_tokens("api", 9, revoked=True)
    assert [token.name for token in everything] == ["t3", "t2", "t1", "t0"]


async def test_tokens_that_expire_are_found_unless_they_were_made_for_a_short_time(
    store: Store,
) -> None:
    day = 86400.0
    for name, made, expires in (
        ("soon", NOW - 80 * day, NOW + 3 * day),
        ("later", NOW - 80 * day, NOW + 30 * day),
        ("gone", NOW - 80 * day, NOW - day),
        ("short", NOW - day, NOW + day),
        ("endless", NOW, None),
    ):
        await store.create_token("api", name, name, made, expires_at=expires)
    revoked = await store.create_token("api", "r", "r", NOW - 80 * day, expires_at=NOW + day)
    await store.revoke(revoked.id)
    found = await store.expiring_tokens(NOW, NOW + 14 * day, longer=14 * day, limit=9)
    assert [token.name for token in found] == ["soon"]
