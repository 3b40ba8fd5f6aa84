"""What binds a sign-in to its browser."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from remote_server.oidc.flow import ENTROPY, Begun, authorization_url

ONE = Begun.from_entropy(bytes(ENTROPY), "jobs?state=failed")
OTHER = Begun.from_entropy(b"\1" * ENTROPY, "")


def test_the_cookie_tells_all_of_it() -> None:
    assert Begun.from_cookie(ONE.cookie) == ONE
    assert Begun.from_cookie(OTHER.cookie) == OTHER
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", ONE.cookie), "no octet that a cookie may not have"


@pytest.mark.parametrize(
    "value", [None, "", "x", "x" * 43 + ".zz", "x" * 2000, "é" * 43, "x" * 43 + ".ff"]
)
def test_what_is_no_cookie_of_ours_tells_nothing(value: str | None) -> None:
    assert Begun.from_cookie(value) is None


def test_state_nonce_and_verifier_tell_nothing_of_each_other() -> None:
    values = [ONE.state, ONE.nonce, ONE.verifier, ONE.challenge, ONE.secret]
    values += [OTHER.state, OTHER.nonce, OTHER.verifier, OTHER.challenge, OTHER.secret]
    assert len(set(values)) == 10
    # RFC 7636 §4.1
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", value) for value in values)
    assert ONE.came_back(ONE.state)
    assert not any(ONE.came_back(state) for state in ("", OTHER.state, "é"))


def test_the_challenge_is_the_one_of_the_specification() -> None:
    """RFC 7636, appendix B."""

    class Known(Begun):
        @property
        def verifier(self) -> str:
            return "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

    assert Known("").challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize("endpoint", ["https://id.example/a", "https://id.example/a?tenant=1"])
def test_the_address_holds_hashes_only(endpoint: str) -> None:
    url = authorization_url(endpoint, "us", "https://x/oidc-callback", ("openid", "email"), ONE)
    query = parse_qs(urlsplit(url).query)
    assert query["state"] == [ONE.state] and query["code_challenge"] == [ONE.challenge]
    assert query["redirect_uri"] == ["https://x/oidc-callback"] and "prompt" not in query
    assert ONE.verifier not in url and ONE.secret not in url and url.startswith(endpoint)
    again = authorization_url(endpoint, "us", "https://x", ("openid",), ONE, fresh=True)
    assert parse_qs(urlsplit(again).query)["prompt"] == ["login"]
