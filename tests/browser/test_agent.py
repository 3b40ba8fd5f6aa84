"""The page of an agent: its own log and the load of its host show by themselves, and its buttons
do what they say."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.browser.conftest import Window, windows
from tests.support.stack import Stack, until

PATIENT = 120_000.0
"""Milliseconds: heartbeats, which bring the load of the host, are some seconds apart."""


def test_its_own_log_shows_what_it_does(chromium: Any, stack: Stack) -> None:
    agent = stack.agent("beta")
    for window in windows(chromium, stack):
        shown = window.open("/agents/beta")
        own = shown.locator("#own-log")
        expect(own).to_contain_text("online agent=beta", timeout=PATIENT)
        begun = own.inner_text().count("online agent=beta")
        # Another process says what it does on the page that is open.
        agent.stop()
        expect(shown.locator('.hero[data-state="offline"]')).to_be_visible(timeout=PATIENT)
        agent.start()
        expect(shown.locator('.hero[data-state="online"]')).to_be_visible(timeout=PATIENT)
        shown.wait_for_function(
            "begun => document.querySelector('#own-log').innerText"
            ".split('online agent=beta').length - 1 > begun",
            arg=begun,
            timeout=PATIENT,
        )
        assert window.violations() == []
        assert window.complaints == []


def test_the_load_of_its_host_is_drawn(window: Window, site: Stack) -> None:
    shown = window.open("/agents/alpha")
    charts = shown.locator("#host-load figure.chart")
    expect(charts.first).to_be_visible(timeout=PATIENT)
    expect(charts).to_have_count(3)
    for chart in charts.all():
        assert chart.locator("polyline").count() >= 1
        assert "percent" in (chart.locator("svg").first.get_attribute("aria-label") or "")
    assert window.violations() == []


def test_the_restart_button_asks_and_restarts_it_under_its_jobs(
    chromium: Any, stack: Stack
) -> None:
    stack.agent("beta")
    go = stack.root / "go"
    job = stack.submit(f"echo begun; while [ ! -e {go} ]; do sleep 0.1; done").id
    stack.prints(job, b"begun")
    before = stack.client.agent("beta").connected_at
    for window in windows(chromium, stack):
        shown = window.open("/agents/beta")
        shown.click("button:has-text('Restart…')")
        expect(shown.locator("#restart")).to_contain_text("Its jobs run on")
        shown.click("#restart button:has-text('Restart it')")

        def restarted() -> bool:
            view = stack.client.agent("beta")
            return view.connected_at != before and view.state == "online"

        until(restarted, "another process of the agent is online", 120)
        expect(shown.locator('.hero[data-state="online"]')).to_be_visible(timeout=PATIENT)
        expect(shown.locator("text=It is to restart")).to_have_count(0, timeout=PATIENT)
        go.touch()
        assert stack.client.wait(job, 60).state == "succeeded"
        assert window.complaints == []
