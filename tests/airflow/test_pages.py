"""Airflow's pages in a real Chromium: the ways to the server's pages, the log of a remote task."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.airflow.deployment import Airflow

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture
def page(airflow: Airflow) -> Iterator[Any]:
    # Airflow's page asks for a running task's log every 3 s; this machine may have more to do.
    expect.set_options(timeout=60_000)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(60_000)
        yield context.new_page()
        browser.close()


def opened(page: Any, click: Any) -> Any:
    """The tab that a click opens."""
    with page.expect_popup() as popup:
        click()
    return popup.value


def test_a_running_tasks_log_is_shown_as_it_grows_and_leads_to_its_job(
    airflow: Airflow, page: Any
) -> None:
    run = airflow.trigger("shown")
    airflow.waits(lambda: airflow.tasks(run)["talks"]["state"] == "running", "it runs")
    airflow.waits(lambda: "Colours" in airflow.log(run, "talks"), "it has said something")
    (job,) = airflow.stack.client.jobs(annotation="airflow.dag=shown").items
    address = f"{airflow.url}/dags/shown/runs/{quote(run.rsplit('/', 1)[1], safe='')}/tasks/talks"
    page.goto(address)

    # A group is closed until it is opened; what the task coloured has its colour.
    group = page.get_by_test_id("summary-Colours of a task")
    expect(group).to_be_visible()
    green = page.get_by_text("green", exact=True)
    expect(green).to_have_count(0)
    group.click()
    expect(green).to_be_visible()
    colours = {
        word: page.get_by_text(word, exact=True).evaluate("e => getComputedStyle(e).color")
        for word in ("green", "and", "red")
    }
    assert len(set(colours.values())) == 3, colours

    # More comes without another click, and where it comes from is a link.
    said = page.get_by_text("said after the page was opened")
    expect(said).to_have_count(0)
    run_id = run.rsplit("/", 1)[1]
    (airflow.said_folder / f"open-{run_id}").touch()
    expect(said).to_be_visible()
    assert airflow.tasks(run)["talks"]["state"] == "running"
    (airflow.said_folder / f"end-{run_id}").touch()
    airflow.ends(run)

    page.goto(f"{address}/details")
    link = page.get_by_role("link", name="Remote job")
    expect(link).to_have_attribute("href", f"{airflow.stack.url}/jobs/{job.id}")
    tab = opened(page, link.click)
    tab.fill("#token", airflow.stack.admin_token)
    tab.click("button.primary")
    expect(tab.locator("h1")).to_contain_text("shown.talks")
    assert tab.url == f"{airflow.stack.url}/jobs/{job.id}", "it comes back to where it was asked"
    expect(tab.get_by_text("said after the page was opened").first).to_be_visible()


def test_the_menu_leads_to_agents_queues_and_jobs(airflow: Airflow, page: Any) -> None:
    page.goto(airflow.url)
    for name in ("agents", "queues", "jobs"):
        page.get_by_role("button", name="Browse").click()
        entry = page.get_by_text(f"Remote {name}", exact=True)
        expect(entry).to_be_visible()
        tab = opened(page, entry.click)
        expect(tab.locator("#token")).to_be_visible()
        assert tab.url == f"{airflow.stack.url}/login?next={name}"
        tab.close()
