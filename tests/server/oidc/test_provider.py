"""What the server believes of a provider's answers, and what it asks for."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import jwt
import pytest

from remote_protocol.ids import Role
from remote_server.oidc import Begun, Person, ProviderFault, SignInRefused
from remote_server.oidc.flow import ENTROPY
from remote_server.oidc.provider import AT_ONCE, Provider
from tests.server.oidc.conftest import Asking
from tests.support.issuer import CLIENT, SECRET, Issuer, Key

BEGUN = Begun.from_entropy(bytes(ENTROPY), "")


async def signs_in(issuer: Issuer, provider: Provider, begun: Begun = BEGUN) -> Person:
    back = issuer.authorize(await provider.authorization_url(begun))
    return await provider.person(back["code"], back["iss"], begun)


async def test_a_person_signs_in(issuer: Issuer, asking: Asking) -> None:
    found = await signs_in(issuer, asking())
    assert (found.name, found.role) == ("oidc:alice", Role.OPERATOR)


async def test_the_way_back_is_the_configured_one(issuer: Issuer, asking: Asking) -> None:
    url = await asking().authorization_url(BEGUN)
    assert "redirect_uri=https%3A%2F%2Fjobs.example%2Fx%2Foidc-callback&" in url


async def test_the_secret_may_go_in_the_form(issuer: Issuer, asking: Asking) -> None:
    issuer.discovery = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    assert (await signs_in(issuer, asking())).role is Role.OPERATOR


@pytest.mark.parametrize("secret", ["wrong", None])
async def test_a_wrong_secret_is_named_and_not_shown(
    issuer: Issuer, asking: Asking, secret: str | None
) -> None:
    with pytest.raises(ProviderFault) as caught:
        await signs_in(issuer, asking(secret))
    assert "check [oidc] client_id and the client's secret" in str(caught.value)
    assert "wrong" not in str(caught.value)


async def test_a_code_is_good_once_and_for_its_browser(issuer: Issuer, asking: Asking) -> None:
    provider = asking()
    back = issuer.authorize(await provider.authorization_url(BEGUN))
    other = Begun.from_entropy(b"\1" * ENTROPY, "")
    with pytest.raises(SignInRefused, match="sign in again"):
        await provider.person(back["code"], back["iss"], other)
    back = issuer.authorize(await provider.authorization_url(BEGUN))
    await provider.person(back["code"], back["iss"], BEGUN)
    with pytest.raises(SignInRefused, match="was used already, or took too long"):
        await provider.person(back["code"], back["iss"], BEGUN)


HOUR = timedelta(hours=1)
"""From the test's own now: minutes may pass between its collection and its run."""


@pytest.mark.parametrize(
    ("claims", "error", "said"),
    [
        ({"nonce": "of another sign-in"}, SignInRefused, "another sign-in"),
        ({"nonce": None}, SignInRefused, "another sign-in"),
        ({"iss": "https://evil.example"}, SignInRefused, "InvalidIssuer"),
        ({"aud": "another"}, ProviderFault, "for another client; check .oidc. client_id"),
        ({"aud": [CLIENT, "b"]}, SignInRefused, "other programs"),
        ({"exp": HOUR * -1, "iat": HOUR * -2}, ProviderFault, "clocks"),
        ({"exp": None}, ProviderFault, "no claim 'exp'"),
        ({"iat": None}, ProviderFault, "no claim 'iat'"),
        ({"sub": None}, ProviderFault, "no claim 'sub'"),
        ({"iat": HOUR, "nbf": HOUR}, ProviderFault, "clocks"),
        ({"iat": HOUR * -1}, ProviderFault, r"clocks .* differ by 3\d\d\d s; set"),
    ],
)
async def test_tokens_that_are_not_for_us(
    issuer: Issuer, asking: Asking, claims: dict[str, Any], error: type[Exception], said: str
) -> None:
    now = time.time()
    issuer.claims = {
        name: now + value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in claims.items()
    }
    with pytest.raises(error, match=said):
        await signs_in(issuer, asking())


def unsigned(issuer: Issuer) -> str:
    return jwt.encode(payload(issuer), "", algorithm="none")


def by_the_public_key(issuer: Issuer) -> str:
    """Signed with what everybody knows, taken for a shared secret."""
    parts = [{"alg": "HS256", "kid": issuer.keys[0].name}, payload(issuer)]
    signed = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    known = json.dumps(issuer.keys[0].public).encode()
    signature = urlsafe_b64encode(hmac.new(known, signed, sha256).digest()).rstrip(b"=")
    return (signed + b"." + signature).decode()


def by_the_clients_secret(issuer: Issuer) -> str:
    return jwt.encode(payload(issuer), SECRET.ljust(32), algorithm="HS256")


def by_a_stranger(issuer: Issuer) -> str:
    key = Key(issuer.keys[0].name)
    return jwt.encode(payload(issuer), key.private, algorithm="ES256", headers={"kid": key.name})


def changed(issuer: Issuer) -> str:
    head, _, signature = issuer.signed(BEGUN.nonce).split(".")
    body = json.dumps({**payload(issuer), "groups": ["ops"]}).encode()
    return f"{head}.{urlsafe_b64encode(body).rstrip(b'=').decode()}.{signature}"


def payload(issuer: Issuer) -> dict[str, Any]:
    now = int(time.time())
    return {
        "iss": issuer.url, "aud": CLIENT, "sub": "1", "nonce": BEGUN.nonce, "iat": now,
        "exp": now + 60,
    }  # fmt: skip


@pytest.mark.parametrize(
    "forged",
    [
        unsigned,
        by_the_public_key,
        by_the_clients_secret,
        by_a_stranger,
        changed,
        lambda issuer: "a.b.c",
        lambda issuer: "no token",
        lambda issuer: "." * 1000,
    ],
)
async def test_forged_tokens_are_refused(
    issuer: Issuer, asking: Asking, forged: Callable[[Issuer], str]
) -> None:
    issuer.token = forged(issuer)
    with pytest.raises(SignInRefused):
        await signs_in(issuer, asking())


async def test_discovery_and_keys_are_asked_for_once(issuer: Issuer, asking: Asking) -> None:
    provider = asking()
    for _ in range(3):
        await signs_in(issuer, provider)
    assert issuer.asked["/.well-known/openid-configuration"] == 1 and issuer.asked["/keys"] == 1


async def test_a_new_key_is_asked_for_but_not_all_the_time(issuer: Issuer, asking: Asking) -> None:
    now = [1000.0]
    provider = asking(clocks=(time.time, lambda: now[0]))
    await signs_in(issuer, provider)
    issuer.keys = [Key("second"), *issuer.keys]
    with pytest.raises(SignInRefused, match="not in its list"):
        await signs_in(issuer, provider)
    assert issuer.asked["/keys"] == 1, "it was asked for a moment ago"
    now[0] += 61.0
    await signs_in(issuer, provider)
    assert issuer.asked["/keys"] == 2
    issuer.keys[0].name = "never listed"
    issuer.token = issuer.signed(BEGUN.nonce)
    issuer.keys[0].name = "second"
    for _ in range(20):
        with pytest.raises(SignInRefused, match="not in its list"):
            await signs_in(issuer, provider)
    assert issuer.asked["/keys"] == 2


async def test_a_key_that_was_taken_away_is_refused_within_the_hour(
    issuer: Issuer, asking: Asking
) -> None:
    now = [1000.0]
    provider = asking(clocks=(time.time, lambda: now[0]))
    await signs_in(issuer, provider)
    issuer.token = issuer.signed(BEGUN.nonce)
    issuer.keys = [Key("second")]
    now[0] += 3601.0
    with pytest.raises(SignInRefused, match="not in its list"):
        await signs_in(issuer, provider)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"issuer": "https://other"}, "calls itself 'https://other', not 'http://127.0.0.1"),
        (
            {"token_endpoint": "https://evil.example/t"},
            "token endpoint is at another host, evil.ex",
        ),
        ({"jwks_uri": "http://169.254.169.254/k"}, "list of keys is no usable address"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization endpoint is no usable"),
        ({"token_endpoint": None}, "token endpoint is no usable address"),
        ({"jwks_uri": "https://u:p@id.example/k"}, "list of keys is no usable address"),
    ],
)
async def test_endpoints_lead_to_the_issuers_hosts_only(
    issuer: Issuer, asking: Asking, said: dict[str, Any], words: str
) -> None:
    issuer.discovery = said
    with pytest.raises(ProviderFault, match=words):
        await asking().authorization_url(BEGUN)


async def test_other_hosts_are_named_in_the_settings(issuer: Issuer, asking: Asking) -> None:
    issuer.discovery = {"authorization_endpoint": "https://accounts.example/a?x=1"}
    provider = asking(hosts=["accounts.example"])
    url = await provider.authorization_url(BEGUN)
    assert url.startswith("https://accounts.example/a?x=1&response_type=code")


async def test_a_provider_that_fails_is_left_alone_for_a_while(
    issuer: Issuer, asking: Asking
) -> None:
    now = [1000.0]
    provider = asking(clocks=(time.time, lambda: now[0]))
    issuer.answer = (500, {}, b"{}")
    for _ in range(20):
        with pytest.raises(ProviderFault, match="answered 500"):
            await provider.authorization_url(BEGUN)
    assert sum(issuer.asked.values()) == 1
    issuer.answer, now[0] = None, now[0] + 5.1
    assert (await signs_in(issuer, provider)).role is Role.OPERATOR


async def test_codes_are_exchanged_a_few_at_a_time(issuer: Issuer, asking: Asking) -> None:
    provider = asking()
    backs = [issuer.authorize(await provider.authorization_url(BEGUN)) for _ in range(3 * AT_ONCE)]
    under_way, most = 0, 0
    real = provider._requests.post

    async def counted(*args: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await real(*args)
        finally:
            under_way -= 1

    provider._requests.post = counted  # type: ignore[method-assign, assignment]
    people = await asyncio.gather(
        *(provider.person(back["code"], back["iss"], BEGUN) for back in backs)
    )
    assert len(people) == 3 * AT_ONCE and most == AT_ONCE


@pytest.mark.parametrize("names_itself", [True, False])
async def test_answers_of_another_provider_are_refused(
    issuer: Issuer, asking: Asking, names_itself: bool
) -> None:
    """RFC 9207: a code of one provider must not be given to another one."""
    issuer.discovery = {"authorization_response_iss_parameter_supported": names_itself}
    provider = asking()
    back = issuer.authorize(await provider.authorization_url(BEGUN))
    with pytest.raises(SignInRefused, match="another provider"):
        await provider.person(back["code"], "https://evil.example", BEGUN)
    if names_itself:
        with pytest.raises(SignInRefused, match="another provider"):
            await provider.person(back["code"], "", BEGUN)
    else:
        assert (await provider.person(back["code"], "", BEGUN)).name == "oidc:alice"
