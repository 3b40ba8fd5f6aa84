"""Persons who sign in by a provider, on a real database."""

from __future__ import annotations

import json

from remote_protocol.ids import Role
from remote_server.domain.model import Session
from remote_server.store import Store
from tests.support.stored import NOW

ALICE = ("subject of alice", "oidc:alice")


async def actions(store: Store) -> list[tuple[str, str]]:
    found, _ = await store.audit_page()
    return [(one.action, one.actor) for one in reversed(found)]


async def test_a_person_has_one_entry(store: Store) -> None:
    first = await store.admit_person(*ALICE, Role.VIEWER, NOW, "::1")
    again = await store.admit_person(*ALICE, Role.VIEWER, NOW + 5, "::1")
    assert again == first == await store.token(first.id)
    assert (first.kind, first.name, first.role) == ("api", "oidc:alice", Role.VIEWER)
    assert first.expires_at is None and not first.revoked
    other = await store.admit_person("another", "oidc:alice", Role.VIEWER, NOW, "::1")
    assert other.id != first.id
    assert await actions(store) == [("token.create", "oidc:alice")] * 2


async def test_the_newest_judgement_holds_everywhere(store: Store) -> None:
    first = await store.admit_person(*ALICE, Role.ADMIN, NOW, "::1")
    now = await store.admit_person(ALICE[0], "oidc:alice2", Role.VIEWER, NOW + 5, "::1")
    assert (now.id, now.name, now.role) == (first.id, "oidc:alice2", Role.VIEWER)
    assert (await store.token(first.id)).role is Role.VIEWER
    found, _ = await store.audit_page()
    assert found[0].action == "token.update"
    assert json.loads(found[0].detail) == {
        "name": ["oidc:alice", "oidc:alice2"], "role": ["admin", "viewer"],
    }  # fmt: skip


async def test_who_is_barred_is_out_and_old_sessions_never_come_back(store: Store) -> None:
    first = await store.admit_person(*ALICE, Role.ADMIN, NOW, "::1")
    await store.begin_session(Session("digest", first.id, NOW, NOW, NOW + 100), NOW - 10)
    await store.bar_person(*ALICE, "::1")
    assert (await store.token(first.id)).revoked
    await store.bar_person(*ALICE, "::1")
    await store.bar_person("who never signed in", "oidc:x", "::1")
    second = await store.admit_person(*ALICE, Role.VIEWER, NOW + 5, "::1")
    assert second.id != first.id and not second.revoked
    session = await store.session("digest")
    assert session is not None and (await store.token(session.token)).revoked
    assert [action for action, _ in await actions(store)] == [
        "token.create", "session.sign_in", "token.revoke", "token.create",
    ]  # fmt: skip


async def test_nobody_bears_a_persons_entry(store: Store) -> None:
    """It is found by a hash that is none of a token's text, in the form of texts that are."""
    first = await store.admit_person(*ALICE, Role.ADMIN, NOW, "::1")
    assert (await store.token_by_hash(ALICE[0])) == first
