"""Sealed secrets on a real database."""

from __future__ import annotations

import pytest

from remote_protocol.api.queues import QueueCreate
from remote_server.domain import secrets as domain
from remote_server.domain.model import Principal
from remote_server.domain.secrets import Scope, Sealed, SealedSecret
from remote_server.errors import Conflict, NotFound, UnknownQueue
from remote_server.store import Store
from tests.support.stored import NOW

SEALED = Sealed("key1", "nonce", "ciphertext")
ALICE, BOB = Principal("1", "alice", "", "api"), Principal("2", "bob", "", "api")


async def audited(store: Store) -> list[tuple[str, str, str]]:
    entries, _ = await store.audit_page()
    return [(one.action, one.subject, one.detail) for one in entries if one.kind == "secret"]


async def test_what_is_stored_is_found(store: Store) -> None:
    made, new = await store.put_secret("B", SEALED, None, NOW, by=ALICE)
    assert new and made == domain.Secret("B", Scope(), "key1", NOW, "alice", NOW, "alice")
    again, new = await store.put_secret("B", SEALED._replace(key_id="key2"), None, NOW + 1, by=BOB)
    assert not new
    assert again == made._replace(key_id="key2", updated_at=NOW + 1, updated_by="bob")
    other, _ = await store.put_secret("A", SEALED, Scope((), True), NOW, by=ALICE)
    assert await store.secrets() == [other, again] and await store.secret("B") == again
    assert await store.sealed_secrets(["A", "X", "A"]) == {
        "A": SealedSecret(Scope((), True), SEALED)
    }
    await store.delete_secret("A", by=BOB)
    with pytest.raises(NotFound):
        await store.secret("A")
    with pytest.raises(NotFound):
        await store.delete_secret("A")
    said = await audited(store)
    assert [(action, name) for action, name, _ in said] == [
        ("secret.delete", "A"),
        ("secret.create", "A"),
        ("secret.update", "B"),
        ("secret.create", "B"),
    ]
    assert "ciphertext" not in str(said) and "nonce" not in str(said)


async def test_a_new_value_keeps_the_queues(store: Store) -> None:
    await store.create_queue(QueueCreate(name="x"), NOW)
    await store.put_secret("A", SEALED, Scope(("x",)), NOW)
    kept, _ = await store.put_secret("A", SEALED, None, NOW)
    assert kept.scope == Scope(("x",))
    changed = await store.change_secret("A", Scope(("default", "x")), NOW + 1, by=BOB)
    assert (changed.scope.queues, changed.updated_by) == (("default", "x"), "bob")
    assert await store.secret("A") == changed
    assert (await store.sealed_secrets(["A"]))["A"].sealed == SEALED
    with pytest.raises(NotFound):
        await store.change_secret("B", Scope(), NOW)


async def test_queues_must_exist(store: Store) -> None:
    with pytest.raises(UnknownQueue):
        await store.put_secret("A", SEALED, Scope(("nowhere",)), NOW)
    await store.put_secret("A", SEALED, None, NOW)
    with pytest.raises(UnknownQueue):
        await store.change_secret("A", Scope(("nowhere",)), NOW)


async def test_a_queue_that_is_made_again_gets_nothing(store: Store) -> None:
    for name in ("x", "y"):
        await store.create_queue(QueueCreate(name=name), NOW)
    await store.put_secret("A", SEALED, Scope(("x", "y")), NOW)
    await store.put_secret("B", SEALED, Scope(("x",)), NOW)
    await store.delete_queue("x")
    await store.create_queue(QueueCreate(name="x"), NOW)
    assert [secret.scope for secret in await store.secrets()] == [Scope(("y",)), Scope(())]
    # One that no queue gets can have a new value all the same.
    kept, _ = await store.put_secret("B", SEALED, None, NOW)
    assert not kept.scope.covers("x")


async def test_there_are_not_too_many(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_server.store.secrets.MOST", 2)
    for name in ("A", "B"):
        await store.put_secret(name, SEALED, None, NOW)
    with pytest.raises(Conflict, match="delete one first"):
        await store.put_secret("C", SEALED, None, NOW)
    await store.put_secret("B", SEALED, None, NOW)


async def test_all_are_sealed_again_or_none(store: Store) -> None:
    for name in ("A", "B"):
        await store.put_secret(name, SEALED, None, NOW)

    def broken(name: str, sealed: Sealed) -> Sealed:
        if name == "B":
            raise Conflict("not this one")
        return Sealed("key2", "n", "c")

    with pytest.raises(Conflict):
        await store.reseal_secrets("key2", broken)
    assert {secret.key_id for secret in await store.secrets()} == {"key1"}
    assert await store.reseal_secrets("key2", lambda name, sealed: Sealed("key2", "n", name)) == 2
    found = await store.sealed_secrets(["A", "B"])
    assert [found[name].sealed for name in "AB"] == [
        Sealed("key2", "n", "A"),
        Sealed("key2", "n", "B"),
    ]
    assert await store.reseal_secrets("key2", broken) == 0
