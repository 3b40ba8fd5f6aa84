"""The page of secrets: one is set in the form and deleted, and its value is on no page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import windows
from tests.support.stack import Stack

PATIENT = 60_000.0
VALUE = "correct horse"


def test_a_secret_is_set_and_deleted(chromium: Any, stack: Stack) -> None:
    for window in windows(chromium, stack):
        shown = window.open("/secrets")
        shown.click("button:has-text('Set a secret')")
        shown.fill("#set [name=name]", "no-variable")
        field = shown.locator("#set [name=value]")
        expect(field).to_have_attribute("type", "password")
        expect(field).to_have_attribute("autocomplete", "off")
        field.fill(VALUE)
        assert window.violations() == []
        shown.click("#set button:has-text('Set it')")
        # The dialog is open again, with the fault and without the value.
        expect(shown.locator("#set .fault")).to_contain_text("is no name of a secret")
        expect(shown.locator("#set [name=value]")).to_have_value("")
        assert window.violations() == [] and VALUE not in shown.content()
        assert all("422" in said for said in window.complaints)
        window.complaints.clear()
        shown.fill("#set [name=name]", "DB_PASSWORD")
        shown.fill("#set [name=value]", VALUE)
        shown.click("#set button:has-text('Set it')")
        row = shown.locator("[data-secret=DB_PASSWORD]")
        expect(row).to_contain_text("default", timeout=PATIENT)
        expect(row).to_have_attribute("data-state", "healthy")
        assert VALUE not in shown.content()
        (stack.data_dir / "secrets.key").chmod(0o644)
        window.open("/secrets")
        expect(row).to_contain_text("can be read by others on this host")
        assert window.violations() == [] and window.overflow() <= 0
        row.locator("summary").click()
        row.locator("button:has-text('Delete it')").click()
        expect(shown.locator("main")).to_contain_text("remotectl secret set", timeout=PATIENT)
        assert window.complaints == []
