"""Sign-ins by a provider, without one."""

from __future__ import annotations

import time

import pytest

from remote_protocol.errors import ErrorCode
from remote_protocol.ids import Role
from remote_server.domain.model import Token
from remote_server.oidc import Begun, Person, ProviderFault, SignInRefused
from remote_server.web.failed_attempts import EACH
from remote_server.web.http.problems import ApiProblem
from remote_server.web.provider_sign_in import ProviderSignIn


class FakeProvider:
    """Vouches for one person, or raises."""

    title = "Example"

    def __init__(self) -> None:
        self.says: Person | Exception = Person("s", "oidc:alice", Role.OPERATOR)
        self.asked = 0

    async def authorization_url(self, begun: Begun, *, fresh: bool = False) -> str:
        return f"https://id.example/?state={begun.state}{'&prompt=login' if fresh else ''}"

    async def person(self, code: str, issuer: str, begun: Begun) -> Person:
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def close(self) -> None:
        pass


class FakeStore:
    """Remembers who was admitted and barred."""

    def __init__(self) -> None:
        self.barred: list[str] = []

    async def admit_person(
        self, subject: str, name: str, role: Role, now: float, address: str
    ) -> Token:
        return Token("id", "api", name, now, role=role)

    async def bar_person(self, subject: str, name: str, address: str) -> None:
        self.barred.append(subject)


def made() -> tuple[ProviderSignIn, FakeProvider, FakeStore]:
    provider, store = FakeProvider(), FakeStore()
    return ProviderSignIn(provider, store), provider, store


async def finish(sign_in: ProviderSignIn, begun: Begun | None, state: str = "") -> Token:
    given = state or (begun.state if begun else "x")
    return await sign_in.finish(begun, given, "code", "", "192.0.2.1")


async def test_who_comes_back_is_admitted() -> None:
    sign_in, _, _ = made()
    where, begun = await sign_in.begin("jobs", fresh=True)
    assert begun.state in where and "prompt=login" in where and begun.following == "jobs"
    token = await finish(sign_in, begun)
    assert (token.name, token.role) == ("oidc:alice", Role.OPERATOR)
    _, other = await sign_in.begin("", fresh=False)
    assert other.secret != begun.secret


@pytest.mark.parametrize("state", ["", "another"])
async def test_another_browsers_answer_asks_nobody(state: str) -> None:
    """Another site cannot sign its visitors in as somebody else (RFC 6749 §10.12)."""
    sign_in, provider, _ = made()
    _, begun = await sign_in.begin("", fresh=False)
    _, other = await sign_in.begin("", fresh=False)
    for kept, given in ((None, begun.state), (other, begun.state), (begun, state or other.state)):
        with pytest.raises(ApiProblem, match="did not begin in this browser") as caught:
            await finish(sign_in, kept, given)
        assert caught.value.code is ErrorCode.FORBIDDEN
    assert provider.asked == 0


async def test_who_has_no_role_any_more_is_barred_and_named() -> None:
    sign_in, provider, store = made()
    provider.says = Person("s", "oidc:alice", None, "alice is in no group with a role here")
    _, begun = await sign_in.begin("", fresh=False)
    with pytest.raises(ApiProblem, match="in no group") as caught:
        await finish(sign_in, begun)
    assert caught.value.code is ErrorCode.FORBIDDEN and store.barred == ["s"]
    assert caught.value.bearer is not None and caught.value.bearer.name == "oidc:alice"


async def test_refusals_and_faults_are_told_apart() -> None:
    sign_in, provider, store = made()
    _, begun = await sign_in.begin("", fresh=False)
    provider.says = SignInRefused("used already")
    with pytest.raises(ApiProblem, match="used already"):
        await finish(sign_in, begun)
    provider.says = ProviderFault("away", "start it")
    with pytest.raises(ProviderFault):
        await finish(sign_in, begun)
    assert store.barred == []


async def test_codes_of_one_address_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    sign_in, provider, _ = made()
    provider.says = SignInRefused("no such code")
    _, begun = await sign_in.begin("", fresh=False)
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    for _ in range(EACH):
        with pytest.raises(ApiProblem, match="no such code"):
            await finish(sign_in, begun)
    with pytest.raises(ApiProblem, match="too many sign-ins came from your network") as caught:
        await finish(sign_in, begun)
    assert caught.value.code is ErrorCode.TOO_MANY_REQUESTS
    assert caught.value.headers == {"Retry-After": "2"} and provider.asked == EACH
