"""Sign-in by a real OpenID provider, which is a process of its own, at a real server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.openid_provider import OpenIdProvider, openid_provider
from tests.support.stack import Stack


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[OpenIdProvider]:
    with openid_provider(tmp_path) as found:
        yield found


@pytest.fixture
def stack(tmp_path: Path, provider: OpenIdProvider) -> Iterator[Stack]:
    """A server that is registered with the provider."""
    with Stack(tmp_path) as stack:
        secret = tmp_path / "client-secret"
        provider.register(f"{stack.url}/oidc-callback")
        secret.write_text(provider.client_secret + "\n")
        secret.chmod(0o600)
        stack.server.env.update(provider.settings(stack.url, secret))
        stack.start_server()
        yield stack


def signs_in(browser: httpx.Client, stack: Stack, name: str) -> httpx.Response:
    """Go to the provider, say who it is, come back."""
    there = browser.get(f"{stack.url}/oidc-login?fresh=yes")
    assert "Authorize Client" in there.text, there.text
    return browser.post(str(there.url), data={"sub": name})


def browser() -> httpx.Client:
    headers = {"Accept": "text/html"}
    return httpx.Client(follow_redirects=True, timeout=120, headers=headers, trust_env=False)


def test_people_sign_in_with_the_role_of_their_groups(
    stack: Stack, provider: OpenIdProvider
) -> None:
    provider.person("alice", "admins", "staff")
    with browser() as one:
        seen = signs_in(one, stack, "alice")
        assert seen.status_code == 200 and str(seen.url) == f"{stack.url}/", seen.text
        assert one.get(f"{stack.url}/tokens").status_code == 200
        provider.person("alice", "staff")
        assert one.get(f"{stack.url}/tokens").status_code == 200, "judged at the next sign-in"
        signs_in(one, stack, "alice")
        assert one.get(f"{stack.url}/tokens").status_code == 403
        csrf = re.search(r'name="csrf" value="([0-9a-f]{64})"', one.get(f"{stack.url}/about").text)
        assert csrf is not None
        out = one.post(f"{stack.url}/logout", data={"csrf": csrf[1]})
        assert "You are signed out." in out.text
        assert "/login" in str(one.get(f"{stack.url}/queues").url)
        provider.person("alice", "others")
        refused = signs_in(one, stack, "alice")
        assert refused.status_code == 403
        assert "alice is in the groups others, none of which gives a role here" in refused.text
    told = stack.ctl("audit", "--action", "session.sign_in", "--output", "json", check=True)
    assert b'"oidc:alice"' in told.stdout


def test_a_wrong_secret_is_said_and_not_shown(stack: Stack, provider: OpenIdProvider) -> None:
    (stack.root / "client-secret").write_text("not the secret\n")
    stack.server.kill()
    stack.start_server()
    provider.person("alice", "admins")
    with browser() as one:
        refused = signs_in(one, stack, "alice")
        assert refused.status_code == 503 and "client&#39;s secret" in refused.text
    words = stack.server.words()
    assert "sign-in failed" in words and "does not accept this server as its client" in words
    assert "not the secret" not in words + refused.text


def test_a_provider_that_is_away_keeps_no_server_from_starting(
    tmp_path: Path, stack: Stack, provider: OpenIdProvider
) -> None:
    stack.server.kill()
    stack.server.env["REMOTE_SERVER_OIDC_ISSUER"] = "http://127.0.0.1:9"
    stack.start_server()
    with browser() as one:
        seen = one.get(f"{stack.url}/oidc-login")
        assert seen.status_code == 503 and "cannot be reached" in seen.text
        assert one.post(f"{stack.url}/login", data={"token": stack.admin_token}).status_code == 200
