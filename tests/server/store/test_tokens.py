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
