"""The pages of webhooks: made in a form, tried, its message shown and sent again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Window, windows
from tests.support.receiver import Receiver, status
from tests.support.stack import Stack

PATIENT = 60_000.0


@pytest.fixture
def near(tmp_path: Any) -> Iterator[Stack]:
    """A server that may send to loopback."""
    with Stack(tmp_path, WEBHOOKS_ALLOWED_NETWORKS="127.0.0.0/8") as own:
        own.start_server()
        yield own


def make(window: Window, url: str) -> str:
    """A webhook by its form; its secret."""
    shown = window.open("/webhooks")
    shown.click("button:has-text('Create a webhook')")
    shown.fill("#create [name=name]", "horn")
    shown.fill("#create [name=url]", url)
    shown.check("#create [name=events][value='agent.offline']")
    assert window.violations() == []
    shown.click("#create button:has-text('Create it')")
    return str(shown.inner_text("[data-secret]"))


def test_a_webhook_is_made_tried_and_its_message_sent_again(chromium: Any, near: Stack) -> None:
    with Receiver() as receiver:
        receiver.first.append(status(500))
        for window in windows(chromium, near):
            secret = make(window, receiver.url)
            shown = window.page
            shown.click("text=Go to horn")
            expect(shown.locator("main")).to_contain_text("It has told nothing yet")
            shown.click("button:has-text('Send a test')")
            row = shown.locator("[data-delivery]")
            expect(row).to_have_attribute("data-state", "failed", timeout=PATIENT)
            expect(row).to_contain_text("answered 500")
            assert window.violations() == []
            row.locator("text=Send again").click()
            expect(row).to_have_attribute("data-state", "delivered", timeout=PATIENT)
            row.locator("a", has_text="webhook.test").click()
            expect(shown.locator("main pre")).to_contain_text('"webhook": "horn"')
            assert window.violations() == []
            assert window.complaints == []
        assert all(one.signed_with(secret) for one in receiver.received)
        assert len({one.id for one in receiver.received}) == 1


def test_a_webhook_is_disabled_and_deleted(chromium: Any, near: Stack) -> None:
    for window in windows(chromium, near):
        make(window, "https://127.0.0.1:9/hook")
        shown = window.open("/webhooks/horn")
        shown.click("button:has-text('Disable')")
        expect(shown.locator("[role=note]")).to_contain_text("It is disabled", timeout=PATIENT)
        assert window.violations() == []
        shown.click("button:has-text('Enable')")
        # The next page, or the dialog would open on the one that goes.
        expect(shown.locator("button:has-text('Disable')")).to_be_visible(timeout=PATIENT)
        shown.click("button:has-text('Delete…')")
        shown.click("#delete button:has-text('Delete it')")
        expect(shown.locator("main")).to_contain_text("remotectl webhook create", timeout=PATIENT)
        assert window.violations() == []
        assert window.complaints == []
