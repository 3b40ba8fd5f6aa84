"""The viewer of a log: lines are selected by click and by key, and the address says which."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Window
from tests.support.stack import Stack


def bar(shown: Any) -> Any:
    return shown.locator('[data-part="range"]')


def test_lines_are_selected_and_the_address_names_them(window: Window, site: Stack) -> None:
    job = site.run(command=["seq", "100", "199"], name="counts").id
    shown = window.open(f"/jobs/{job}/log")
    number = shown.locator('.ln[data-number="3"] .no')
    number.click()
    expect(bar(shown).locator("b")).to_have_text("Line 3")
    shown.locator('.ln[data-number="6"] .no').click(modifiers=["Shift"])
    expect(bar(shown).locator("b")).to_have_text("Lines 3–6")
    expect(shown.locator(".ln[data-selected]")).to_have_count(4)
    shown.wait_for_url(f"**/jobs/{job}/log?attempt=1#L3-L6")
    shown.locator(".log").focus()
    shown.keyboard.press("Shift+ArrowDown")
    expect(bar(shown).locator("b")).to_have_text("Lines 3–7")
    shown.keyboard.press("ArrowDown")
    expect(bar(shown).locator("b")).to_have_text("Line 8")
    shown.keyboard.press("Shift+ArrowUp")
    shown.keyboard.press("Shift+ArrowUp")
    expect(bar(shown).locator("b")).to_have_text("Lines 6–8")
    link = bar(shown).locator('[data-part="range-download"]').get_attribute("href")
    assert "first=6" in link and "last=8" in link
    shown.keyboard.press("Escape")
    expect(bar(shown)).to_be_hidden()


def test_an_address_shows_its_lines_and_they_are_copied(window: Window, site: Stack) -> None:
    job = site.run(command=["seq", "100", "199"], name="counts").id
    window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    shown = window.open(f"/jobs/{job}/log?attempt=1#L40-L42")
    expect(shown.locator(".ln[data-selected]")).to_have_count(3)
    bar(shown).locator('[data-do="copy"]').click()
    expect(shown.locator(".toasts")).to_contain_text("Copied.")
    assert shown.evaluate("navigator.clipboard.readText()") == "139\n140\n141\n"
    shown.keyboard.press("y")
    wanted = f"{window.url}/jobs/{job}/log?attempt=1#L40-L42"
    shown.wait_for_function(
        "wanted => navigator.clipboard.readText().then(t => t === wanted)", arg=wanted
    )
