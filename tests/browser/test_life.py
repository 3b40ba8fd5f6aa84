"""Pages that stay open: they follow what happens, also over a restart of the server."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from remote_protocol.api.queues import QueueCreate
from tests.browser.conftest import CHROMIUM, Window, windows
from tests.support.stack import Stack


def test_a_list_follows_what_happens(window: Window, site: Stack) -> None:
    shown = window.open("/jobs")
    shown.wait_for_selector("[data-job]")
    job = site.submit(command=["true"], name="new-one").id
    shown.wait_for_selector(f'[data-job="{job}"][data-state="succeeded"]', timeout=30_000)


def test_what_one_window_does_the_other_one_shows(
    chromium: Any, window: Window, site: Stack
) -> None:
    shown = window.open("/queues/default")
    for other in windows(chromium, site):
        other.open("/queues/default").click("text=Pause")
        other.page.wait_for_selector("text=Resume")
        shown.wait_for_selector("text=Resume", timeout=30_000)
        other.page.click("text=Resume")
        shown.wait_for_selector("button:has-text('Pause')", timeout=30_000)


def test_a_page_recovers_from_a_restart_of_the_server(chromium: Any, stack: Stack) -> None:
    for window in windows(chromium, stack):
        shown = window.open("/queues")
        shown.wait_for_selector('.live[data-live="on"]')
        stack.server.kill()
        shown.wait_for_selector('.live[data-live="away"]', timeout=60_000)
        assert "Reconnecting" in shown.inner_text(".live")
        stack.start_server()
        shown.wait_for_selector('.live[data-live="on"]', timeout=60_000)
        stack.client.create_queue(QueueCreate(name="made-meanwhile"))
        shown.wait_for_selector('[data-queue="made-meanwhile"]', timeout=30_000)
        # That the server was away is what the browser complains of, and nothing else.
        assert all("ERR_CONNECTION_REFUSED" in said or "ERR_" in said for said in window.complaints)


def test_a_log_goes_on_after_a_restart_of_the_server(chromium: Any, stack: Stack) -> None:
    stack.agent("beta")
    go = stack.root / "go"
    job = stack.submit(f"echo before; while [ ! -e {go} ]; do sleep 0.1; done; echo after").id
    for window in windows(chromium, stack):
        shown = window.open(f"/jobs/{job}/log")
        lines = shown.locator(".ln")
        expect(lines).to_have_count(1, timeout=60_000)
        stack.server.kill()
        stack.start_server()
        go.touch()
        expect(lines).to_have_count(2, timeout=120_000)
        expect(lines.last).to_contain_text("after")
        expect(shown.locator("main")).to_contain_text("2 lines", timeout=60_000)
        assert all("ERR_" in said for said in window.complaints)


def test_two_browsers_see_the_same_and_each_what_its_role_may(
    chromium: Any, window: Window, site: Stack
) -> None:
    viewer = site.ctl_json("token", "create", "--role", "viewer", "--name", "looks")["token"]
    other = chromium.browser_type.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
    second = Window(other.new_context().new_page(), site.url)
    second.sign_in(viewer)
    seen, shown = second.open("/agents/alpha"), window.open("/agents/alpha")
    shown.click("button:has-text('Pause…')")
    shown.fill("#pause [name=comment]", "by the first browser")
    shown.click("#pause button:has-text('Pause it')")
    expect(seen.locator("main")).to_contain_text("by the first browser", timeout=60_000)
    expect(seen.locator("main button[data-opens]")).to_have_count(0)
    expect(seen.locator("nav[aria-label=Main] >> text=Webhooks")).to_have_count(0)
    shown.click("button:has-text('Resume')")
    expect(seen.locator('.hero[data-state="online"]')).to_be_visible(timeout=60_000)
    other.close()


def test_a_page_stands_still_while_it_is_held(window: Window, site: Stack) -> None:
    shown = window.open("/jobs")
    shown.wait_for_selector("[data-job]")
    shown.keyboard.press("p")
    shown.wait_for_selector('.live[data-live="held"]')
    job = site.run(command=["true"], name="while-held").id
    assert shown.query_selector(f'[data-job="{job}"]') is None
    shown.keyboard.press("p")
    shown.wait_for_selector(f'[data-job="{job}"]', timeout=30_000)


def test_keys_lead_to_pages(window: Window) -> None:
    shown = window.open("/")
    shown.keyboard.press("g")
    shown.keyboard.press("q")
    shown.wait_for_url("**/queues")
    shown.keyboard.press("Control+k")
    shown.keyboard.type("alpha")
    shown.keyboard.press("Enter")
    shown.wait_for_url("**/agents/alpha")


def test_light_and_dark_are_kept(window: Window) -> None:
    shown = window.open("/queues")
    shown.click(".me [data-theme-toggle]")
    assert shown.get_attribute("html", "data-theme") == "light"
    shown.click(".me [data-theme-toggle]")
    window.open("/agents")
    assert shown.get_attribute("html", "data-theme") == "dark"


def test_signing_out_ends_it(chromium: Any, site: Stack) -> None:
    for window in windows(chromium, site):
        window.page.click("[aria-label='Sign out']")
        window.page.wait_for_url("**/login**")
        assert "You are signed out." in window.page.inner_text("main")
        assert window.open("/queues").url.endswith("/login?next=queues")
