"""The audit in a real browser: filtered, kept as a file, and nothing that others see the way to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from remote_protocol.ids import Role
from tests.browser.conftest import Window, windows
from tests.support.stack import Stack

ROWS = "table.audit tbody tr"


def shown_actions(page: Any) -> set[str]:
    """What the entries that are shown tell of."""
    return set(page.locator(f"{ROWS} td.name").all_inner_texts())


def test_the_audit_is_filtered_and_downloaded(window: Window, tmp_path: Path) -> None:
    page = window.open("/")
    page.click("nav[aria-label=Main] >> text=Audit")
    page.wait_for_selector(ROWS)
    assert "job.submit" in shown_actions(page) and "session.sign_in" in shown_actions(page)
    page.click("nav[aria-label=Action] >> text=Agents")
    page.wait_for_url("**/audit?action=agent.")
    assert "agent.register" in shown_actions(page)
    assert all(action.startswith("agent.") for action in shown_actions(page))
    page.click("#filter > summary")
    page.fill("#filter input[name=action]", "job.submit")
    page.click("#filter button.primary")
    page.wait_for_url("**/audit?action=job.submit")
    assert shown_actions(page) == {"job.submit"}
    rows = page.locator(ROWS)
    shown = {int(rows.nth(at).get_attribute("data-entry")) for at in range(rows.count())}
    with page.expect_download() as begun:
        page.click("text=NDJSON")
    begun.value.save_as(tmp_path / "audit.ndjson")
    found = [json.loads(line) for line in (tmp_path / "audit.ndjson").read_text().splitlines()]
    assert {entry["action"] for entry in found} == {"job.submit"}
    assert shown and shown <= {entry["number"] for entry in found}
    page.click("#chips a.chip-x")
    page.wait_for_url("**/audit")
    assert "session.sign_in" in shown_actions(page)


def test_an_operator_does_not_see_the_way_there(chromium: Any, site: Stack) -> None:
    token = site.client.create_token("ops", Role.OPERATOR).token
    for window in windows(chromium, site):
        shown = window.open("/")
        assert shown.locator("nav[aria-label=Main] >> text=Audit").count() == 1
        shown.context.clear_cookies()
        window.sign_in(token)
        assert shown.locator("nav[aria-label=Main] >> text=Jobs").count() == 1
        assert shown.locator("text=Audit").count() == 0
