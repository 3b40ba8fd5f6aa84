"""Signing in by a real OpenID provider, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import Window
from tests.support.openid_provider import OpenIdProvider, openid_provider
from tests.support.stack import Stack


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[OpenIdProvider]:
    with openid_provider(tmp_path) as found:
        yield found


@pytest.fixture
def stack(tmp_path: Path, provider: OpenIdProvider) -> Iterator[Stack]:
    """A server whose people sign in there."""
    with Stack(tmp_path) as own:
        secret = tmp_path / "client-secret"
        provider.register(f"{own.url}/oidc-callback")
        secret.write_text(provider.client_secret)
        secret.chmod(0o600)
        own.server.env.update(provider.settings(own.url, secret))
        own.start_server()
        yield own


@pytest.fixture
def window(chromium: Any, stack: Stack) -> Iterator[Window]:
    """A browser in which nobody is signed in."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    own = Window(context.new_page(), stack.url)

    def complain(said: Any) -> None:
        # The stream of a live page is cut off when its session ends.
        ours = said.location["url"].startswith(stack.url) and "/live" not in said.location["url"]
        if said.type == "error" and ours:
            own.complaints.append(said.text)

    own.page.on("pageerror", lambda error: own.complaints.append(str(error)))
    own.page.on("console", complain)
    # The provider's own pages ask for a style sheet elsewhere.
    context.route(lambda url: not url.startswith("http://127.0.0.1:"), lambda one: one.abort())
    yield own
    context.close()


def signs_in(window: Window, name: str) -> None:
    """From the page of the sign-in to the provider, and back."""
    window.page.click("#provider")
    window.page.fill("input[name=sub]", name)
    window.page.click("button:has-text('Authorize')")


def test_a_person_signs_in_by_the_provider(
    window: Window, stack: Stack, provider: OpenIdProvider
) -> None:
    provider.person("alice", "admins")
    shown = window.open("/queues/default")
    assert window.violations() == [] and window.overflow() == 0
    assert shown.inner_text("#provider") == "Sign in with Example"
    signs_in(window, "alice")
    shown.wait_for_url(f"{stack.url}/queues/default")
    window.open("/tokens").wait_for_selector("text=oidc:alice")
    shown.click("[aria-label='Sign out']")
    shown.wait_for_url("**/login**")
    provider.person("alice", "staff")
    signs_in(window, "alice")
    shown.wait_for_selector("nav[aria-label=Main]")
    assert shown.query_selector("nav[aria-label=Main] a[href$=tokens]") is None
    assert window.complaints == []
    shown.click("[aria-label='Sign out']")
    shown.wait_for_url("**/login**")
    provider.person("alice", "others")
    signs_in(window, "alice")
    shown.wait_for_selector("#refused")
    said = shown.inner_text("#refused")
    assert "Your account alice is in the groups others, none of which gives a role" in said
    assert window.violations() == [] and window.overflow() == 0
    assert window.open("/queues").url.endswith("/login?next=queues")
