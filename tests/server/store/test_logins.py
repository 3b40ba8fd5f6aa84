"""Logins of programs, on a real database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role
from remote_server.domain.model import Token
from remote_server.errors import NotFound, Refused
from remote_server.store import Store
from remote_server.store.logins import (
    CONFIRMED,
    MOST,
    PENDING,
    REFUSED,
    SHARE,
    SHARE_OF_LOOPBACK,
    Login,
)
from tests.support.stored import NOW

LOGIN = Login("secret", "code", "anna-laptop", "192.0.2.1", NOW, NOW + 600)


def waiting(number: int, address: str) -> Login:
    return Login(f"s{number}", f"c{number}", "x", address, NOW, NOW + 600)


async def owner(store: Store, role: Role = Role.OPERATOR, **more: Any) -> Token:
    return await store.create_token("api", "owner", "anna", NOW, role=role, **more)


async def confirmed(store: Store, by: Token, role: Role | None = Role.OPERATOR) -> None:
    await store.begin_login(LOGIN)
    await store.decide_login("code", NOW + 1, by.used_from("::1"), role, 100.0)


async def test_a_confirmed_login_gives_its_token_once(store: Store) -> None:
    by = await owner(store)
    await store.begin_login(LOGIN)
    assert await store.login_by_code("code", NOW + 1) == LOGIN
    assert await store.take_login("secret", "d", NOW + 1) == (PENDING, None)
    await store.decide_login("code", NOW + 1, by.used_from("::1"), Role.VIEWER, 100.0)
    assert await store.login_by_code("code", NOW + 1) is None
    state, token = await store.take_login("secret", "digest", NOW + 2)
    assert state == CONFIRMED and token is not None
    assert (token.name, token.role, token.expires_at, token.owner) == (
        "anna/anna-laptop", Role.VIEWER, NOW + 102, by.id,
    )  # fmt: skip
    assert await store.token_by_hash("digest") == token
    with pytest.raises(NotFound):
        await store.take_login("secret", "another", NOW + 2)
    found, _ = await store.audit_page()
    said = [(one.action, one.actor, one.address) for one in found[:2]]
    assert said == [("token.create", "anna", "192.0.2.1"), ("login.confirm", "anna", "::1")]
    assert json.loads(found[1].detail) == {"from": "192.0.2.1", "role": "viewer"}


async def test_a_login_is_decided_once(store: Store) -> None:
    by = await owner(store)
    await confirmed(store, by, None)
    with pytest.raises(NotFound):
        await store.decide_login("code", NOW + 1, by.principal, Role.ADMIN, 100.0)
    assert await store.take_login("secret", "d", NOW + 2) == (REFUSED, None)
    with pytest.raises(NotFound):
        await store.decide_login("nothing", NOW + 1, by.principal, Role.ADMIN, 100.0)


async def test_a_login_that_nobody_confirmed_is_over(store: Store) -> None:
    by = await owner(store)
    await store.begin_login(LOGIN)
    assert await store.login_by_code("code", NOW + 600) is None
    with pytest.raises(NotFound):
        await store.decide_login("code", NOW + 600, by.principal, Role.VIEWER, 100.0)
    with pytest.raises(NotFound):
        await store.take_login("secret", "d", NOW + 600)


async def test_a_token_may_no_more_and_no_longer_than_its_person(store: Store) -> None:
    by = await owner(store, Role.VIEWER, expires_at=NOW + 50)
    await confirmed(store, by, Role.ADMIN)
    _, token = await store.take_login("secret", "digest", NOW + 2)
    assert token is not None and (token.role, token.expires_at) == (Role.VIEWER, NOW + 50)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_token_ends_with_its_person(store: Store, when: str) -> None:
    by = await owner(store)
    await confirmed(store, by)
    if when == "before":
        await store.revoke(by.id)
        assert await store.take_login("secret", "digest", NOW + 2) == (REFUSED, None)
    else:
        _, token = await store.take_login("secret", "digest", NOW + 2)
        assert token is not None
        await store.revoke(by.id)
        assert (await store.token(token.id)).revoked


async def test_a_persons_lower_role_holds_for_their_programs(store: Store) -> None:
    person = await store.admit_person("subject", "oidc:anna", Role.ADMIN, NOW, "::1")
    await confirmed(store, person, Role.ADMIN)
    _, token = await store.take_login("secret", "digest", NOW + 2)
    assert token is not None and token.role is Role.ADMIN
    await store.admit_person("subject", "oidc:anna", Role.VIEWER, NOW + 3, "::1")
    assert (await store.token(token.id)).role is Role.VIEWER
    await store.bar_person("subject", "oidc:anna", "::1")
    assert (await store.token(token.id)).revoked


async def test_a_login_by_such_a_token_ends_with_the_person_too(store: Store) -> None:
    by = await owner(store)
    await confirmed(store, by)
    _, first = await store.take_login("secret", "first", NOW + 2)
    assert first is not None
    await confirmed(store, first)
    _, second = await store.take_login("secret", "second", NOW + 3)
    assert second is not None and second.owner == by.id and second.expires_at == first.expires_at


async def test_logins_that_wait_are_few(store: Store) -> None:
    for number in range(MOST):
        address = f"192.0.{number // 200}.{number % 200}"
        await store.begin_login(waiting(number, address))
    with pytest.raises(Refused, match="too many logins wait") as caught:
        await store.begin_login(LOGIN)
    assert caught.value.code is ErrorCode.TOO_MANY_REQUESTS
    late = Login("secret", "code", "x", "::1", NOW + 600, NOW + 1200)
    await store.begin_login(late)
    assert await store.login_by_code("code", NOW + 601) == late


async def test_one_network_cannot_keep_others_out(store: Store) -> None:
    for number in range(SHARE):
        await store.begin_login(waiting(number, f"2001:db8::{number:x}"))
    with pytest.raises(Refused, match="logins from your network wait") as caught:
        await store.begin_login(waiting(SHARE, "2001:db8::ffff"))
    assert caught.value.code is ErrorCode.TOO_MANY_REQUESTS
    await store.begin_login(waiting(SHARE + 1, "2001:db8:0:1::1"))


async def test_a_reverse_proxy_leaves_room_for_direct_connections(store: Store) -> None:
    for number in range(SHARE_OF_LOOPBACK):
        await store.begin_login(waiting(number, "127.0.0.1"))
    with pytest.raises(Refused, match="logins from your network wait"):
        await store.begin_login(waiting(MOST, "::1"))
    await store.begin_login(LOGIN)


async def test_expired_logins_are_forgotten(store: Store) -> None:
    await store.begin_login(waiting(1, "::1"))
    await store.begin_login(Login("secret", "code", "x", "::1", NOW + 1, NOW + 601))
    assert await store.forget_logins(NOW + 599) == 0
    assert await store.forget_logins(NOW + 600) == 1
    assert await store.forget_logins(NOW + 600) == 0
    assert await store.login_by_code("code", NOW + 600) is not None
