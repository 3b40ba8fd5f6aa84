"""How long a browser stays signed in."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role, TokenKind
from remote_server.config import SessionsPart
from remote_server.domain.model import Principal, Session, Token
from remote_server.errors import NotFound
from remote_server.web.access import ADMIN, OPERATOR, VIEWER
from remote_server.web.authenticator import Authenticator, digest
from remote_server.web.http.problems import ApiProblem
from remote_server.web.sessions import Sessions


class FakeStore:
    """One token, and sessions in a dict."""

    def __init__(self, owner: Token) -> None:
        self.owner = owner
        self.rows: dict[str, Session] = {}
        self.looked_up = 0
        self.used: list[str] = []

    async def token_by_hash(self, digest: str) -> Token | None:
        raise AssertionError("a session has no token in its hand")

    async def token(self, token: str) -> Token:
        if token != self.owner.id:
            raise NotFound("token", token)
        return self.owner

    async def touch(self, token: str, now: float) -> None:
        pass

    async def begin_session(
        self, session: Session, unused_since: float, by: Principal, audited: bool
    ) -> None:
        self.rows[session.hash] = session

    async def session(self, digest: str) -> Session | None:
        self.looked_up += 1
        return self.rows.get(digest)

    async def use_session(self, digest: str, now: float) -> None:
        self.used.append(digest)
        self.rows[digest] = replace(self.rows[digest], used_at=now)

    async def end_session(self, digest: str, by: Principal, audited: bool) -> None:
        self.rows.pop(digest, None)


TOKEN = Token("id", TokenKind.API.name.lower(), "laptop", 0.0, role=Role.OPERATOR)


def made(**settings: float) -> tuple[Sessions, FakeStore]:
    store = FakeStore(TOKEN)
    return Sessions(store, Authenticator(store), SessionsPart(**settings)), store


async def refusal(sessions: Sessions, secret: str | None) -> ApiProblem:
    with pytest.raises(ApiProblem) as caught:
        await sessions.admit(secret, VIEWER)
    return caught.value


async def test_only_the_hash_of_the_secret_is_stored() -> None:
    sessions, store = made()
    secret = await sessions.begin(TOKEN, "::1")
    assert list(store.rows) == [digest(secret)] and secret not in repr(store.rows)
    assert (await sessions.admit(secret, OPERATOR)).token == TOKEN


async def test_a_session_may_do_what_its_token_may() -> None:
    sessions, _ = made()
    secret = await sessions.begin(TOKEN, "::1")
    with pytest.raises(ApiProblem) as caught:
        await sessions.admit(secret, ADMIN)
    assert caught.value.code is ErrorCode.FORBIDDEN


@pytest.mark.parametrize("secret", [None, "", "x" * 43, "x" * 10_000, "\udcff", "é"])
async def test_an_unknown_secret_has_to_sign_in(secret: str | None) -> None:
    sessions, _ = made()
    assert (await refusal(sessions, secret)).code is ErrorCode.MISSING_TOKEN


async def test_it_ends_when_it_is_not_used_and_after_its_time() -> None:
    for age, unused in ((0.0, 121.0), (1001.0, 0.0)):
        sessions, store = made(idle_timeout=120.0, max_age=1000.0)
        secret = await sessions.begin(TOKEN, "::1")
        name, now = digest(secret), time.time()
        store.rows[name] = replace(
            store.rows[name], used_at=now - unused, expires_at=now + 1000.0 - age
        )
        assert (await refusal(sessions, secret)).code is ErrorCode.MISSING_TOKEN


async def test_it_ends_with_its_token() -> None:
    sessions, store = made()
    secret = await sessions.begin(TOKEN, "::1")
    store.owner = replace(TOKEN, revoked=True)
    assert (await refusal(sessions, secret)).code is ErrorCode.INVALID_TOKEN
    store.owner = replace(TOKEN, id="another")
    sessions, store = made()
    secret = await sessions.begin(TOKEN, "::1")
    store.owner = replace(TOKEN, expires_at=time.time() - 1.0)
    assert (await refusal(sessions, secret)).code is ErrorCode.EXPIRED_TOKEN


async def test_its_use_is_noted_now_and_then() -> None:
    sessions, store = made()
    secret = await sessions.begin(TOKEN, "::1")
    for _ in range(5):
        await sessions.admit(secret, VIEWER)
    assert store.used == [] and store.looked_up == 1
    name = digest(secret)
    store.rows[name] = replace(store.rows[name], used_at=time.time() - 61.0)
    other = Sessions(store, Authenticator(store), SessionsPart())
    await other.admit(secret, VIEWER)
    await other.admit(secret, VIEWER)
    assert store.used == [name]


async def test_who_signed_out_is_unknown() -> None:
    sessions, _ = made()
    secret = await sessions.begin(TOKEN, "::1")
    await sessions.end(await sessions.admit(secret, VIEWER), "::1")
    assert (await refusal(sessions, secret)).code is ErrorCode.MISSING_TOKEN


async def test_each_session_has_a_secret_for_its_forms() -> None:
    sessions, _ = made()
    one = await sessions.admit(await sessions.begin(TOKEN, "::1"), VIEWER)
    other = await sessions.admit(await sessions.begin(TOKEN, "::1"), VIEWER)
    one.require_csrf(one.csrf)
    for given in ("", other.csrf, one.secret, "é"):
        with pytest.raises(ApiProblem) as caught:
            one.require_csrf(given)
        assert caught.value.code is ErrorCode.FORBIDDEN


async def test_a_request_while_somebody_signs_out_does_not_prolong_the_session() -> None:
    sessions, store = made()
    secret = await sessions.begin(TOKEN, "::1")
    signed_in = await sessions.admit(secret, VIEWER)
    ended = store.end_session

    async def late(digest: str, by: Principal, audited: bool) -> None:
        await sessions.admit(secret, VIEWER)
        await ended(digest, by, audited)

    store.end_session = late  # type: ignore[method-assign]
    await sessions.end(signed_in, "::1")
    assert (await refusal(sessions, secret)).code is ErrorCode.MISSING_TOKEN
