"""The form to submit a job: it says whether a job would run, and submits it."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Window
from tests.support.stack import Stack


def test_would_it_run(window: Window, site: Stack) -> None:
    shown = window.open("/submit")
    shown.fill("[name=run]", "echo explained")
    shown.fill("[name=labels]", "disk=hdd")
    shown.click("button:has-text('Would it run?')")
    said = shown.locator("#explanation")
    expect(said).to_have_attribute("data-outlook", "never")
    expect(said.locator('[data-agent="alpha"] [data-fit="no"]').first).to_be_visible()
    assert window.violations() == [] and window.overflow() <= 0
    shown.set_viewport_size({"width": 390, "height": 844})
    assert window.violations() == [] and window.overflow() <= 0
    shown.fill("[name=labels]", "disk=ssd")
    shown.click("button:has-text('Would it run?')")
    expect(said).to_have_attribute("data-outlook", "now")
    assert "echo explained" in shown.input_value("[name=run]")
    shown.click("button:has-text('Submit the job')")
    shown.wait_for_url("**/jobs/*")
    job = shown.url.partition("/jobs/")[2].partition("?")[0]
    assert site.client.wait(job, 60).state == "succeeded"
    assert b"explained" in site.client.log(job)
