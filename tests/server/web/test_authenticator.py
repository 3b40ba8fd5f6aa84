"""Who is admitted, and what the others are told."""

from __future__ import annotations

import time

import pytest

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role, TokenKind, make_token
from remote_server.domain.change_set import ChangeSet
from remote_server.domain.model import Token
from remote_server.errors import NotFound
from remote_server.web.access import ADMIN, AGENT, ENROL, OPERATOR, VIEWER
from remote_server.web.authenticator import Authenticator, bearer, digest
from remote_server.web.http.problems import ApiProblem
from tests.support.live_server import Live

TEXTS = {kind: make_token(kind, bytes([number]) * 32) for number, kind in enumerate(TokenKind)}


class FakeTokens:
    """Tokens in a dict."""

    def __init__(self) -> None:
        self.rows: dict[str, Token] = {}
        self.looked_up = 0
        self.touched: list[str] = []

    def add(self, kind: TokenKind, **fields: object) -> str:
        text = TEXTS[kind]
        self.rows[digest(text)] = Token(f"id-{kind.name}", kind.name.lower(), "n", 0.0, **fields)  # type: ignore[arg-type]
        return f"Bearer {text}"

    async def token_by_hash(self, digest: str) -> Token | None:
        self.looked_up += 1
        return self.rows.get(digest)

    async def token(self, token: str) -> Token:
        found = next((row for row in self.rows.values() if row.id == token), None)
        if found is None:
            raise NotFound("token", token)
        return found

    async def touch(self, token: str, now: float) -> None:
        self.touched.append(token)


@pytest.mark.parametrize("header", [None, "", "Basic dXNlcjpwdw==", "Bearer", "Bearer  ", "rpt_x"])
def test_a_header_without_a_token(header: str | None) -> None:
    with pytest.raises(ApiProblem) as caught:
        bearer(header)
    assert caught.value.code is ErrorCode.MISSING_TOKEN
    assert caught.value.status == 401


def test_the_scheme_is_case_insensitive() -> None:
    assert bearer("bearer rpt_abc ") == "rpt_abc"


async def test_the_wrong_kind_is_named_beside_the_right_one() -> None:
    tokens = FakeTokens()
    for kind in TokenKind:
        header = tokens.add(kind, role=Role.ADMIN)
        for rule in (VIEWER, AGENT, ENROL):
            authenticator = Authenticator(tokens)
            if kind in rule.kinds:
                assert (await authenticator.admit(header, rule)).id == f"id-{kind.name}"
                continue
            with pytest.raises(ApiProblem) as caught:
                await authenticator.admit(header, rule)
            assert caught.value.code is ErrorCode.WRONG_TOKEN_KIND
            assert kind.words in caught.value.detail
            for wanted in rule.kinds:
                assert wanted.words in caught.value.detail


async def test_unknown_and_revoked_tokens() -> None:
    tokens = FakeTokens()
    authenticator = Authenticator(tokens)
    for header in ("Bearer hunter2", f"Bearer {TEXTS[TokenKind.API]}"):
        with pytest.raises(ApiProblem) as caught:
            await authenticator.admit(header, VIEWER)
        assert caught.value.code is ErrorCode.INVALID_TOKEN
        assert header.split()[1] not in caught.value.detail
    with pytest.raises(ApiProblem) as caught:
        await authenticator.admit(tokens.add(TokenKind.API, revoked=True), VIEWER)
    assert caught.value.code is ErrorCode.INVALID_TOKEN


async def test_an_expired_token_is_said_to_be_so() -> None:
    tokens = FakeTokens()
    header = tokens.add(TokenKind.API, expires_at=time.time() - 1)
    with pytest.raises(ApiProblem) as caught:
        await Authenticator(tokens).admit(header, VIEWER)
    assert (caught.value.code, caught.value.status) == (ErrorCode.EXPIRED_TOKEN, 401)
    assert "UTC" in caught.value.detail


async def test_a_token_expires_while_it_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, ends = FakeTokens(), time.time() + 3600
    header = tokens.add(TokenKind.API, expires_at=ends)
    authenticator = Authenticator(tokens)
    await authenticator.admit(header, VIEWER)
    monkeypatch.setattr(time, "time", lambda: ends)
    with pytest.raises(ApiProblem) as caught:
        await authenticator.admit(header, VIEWER)
    assert caught.value.code is ErrorCode.EXPIRED_TOKEN
    assert tokens.looked_up == 1


@pytest.mark.parametrize("role", Role)
async def test_roles_include_the_lower_ones(role: Role) -> None:
    tokens = FakeTokens()
    header = tokens.add(TokenKind.API, role=role)
    authenticator = Authenticator(tokens)
    for rule in (VIEWER, OPERATOR, ADMIN):
        assert rule.role is not None
        if role.includes(rule.role):
            await authenticator.admit(header, rule)
        else:
            with pytest.raises(ApiProblem) as caught:
                await authenticator.admit(header, rule)
            assert caught.value.code is ErrorCode.FORBIDDEN
            assert f"role {rule.role}" in caught.value.detail


async def test_a_token_is_remembered_until_forgotten_and_touched_once() -> None:
    tokens = FakeTokens()
    header = tokens.add(TokenKind.API)
    authenticator = Authenticator(tokens)
    for _ in range(3):
        await authenticator.admit(header, VIEWER)
    assert tokens.looked_up == 1
    assert tokens.touched == ["id-API"]
    tokens.rows.clear()
    await authenticator.admit(header, VIEWER)
    authenticator.committed(ChangeSet(tokens={"any"}))
    with pytest.raises(ApiProblem):
        await authenticator.admit(header, VIEWER)


async def test_registration_tokens_are_looked_up_each_time() -> None:
    tokens = FakeTokens()
    header = tokens.add(TokenKind.REGISTRATION)
    authenticator = Authenticator(tokens)
    await authenticator.admit(header, ENROL)
    await authenticator.admit(header, ENROL)
    assert tokens.looked_up == 2


async def test_a_token_is_judged_again() -> None:
    tokens = FakeTokens()
    authenticator = Authenticator(tokens)
    token = await authenticator.admit(tokens.add(TokenKind.API, role=Role.VIEWER), VIEWER)
    assert await authenticator.judge(token) is None
    tokens.add(TokenKind.API, expires_at=time.time() - 1)
    refused = await authenticator.judge(token)
    assert refused is not None
    assert refused.code is ErrorCode.EXPIRED_TOKEN
    for _ in range(2):
        tokens.add(TokenKind.API, revoked=True)
        refused = await authenticator.judge(token)
        assert refused is not None
        assert refused.code is ErrorCode.INVALID_TOKEN
        tokens.rows.clear()


async def test_tokens_are_looked_up_again_when_some_changed(live: Live) -> None:
    token = await live.token_for("viewer")
    assert (await live.get("/jobs", token)).status == 200
    (row,) = [t for t in await live.services.store.tokens("api") if t.name.startswith("viewer")]
    await live.services.store.revoke(row.id)
    (await live.get("/jobs", token)).problem(401, "invalid_token")
