"""Every page in a real browser: it says nothing wrong, is accessible, and fits."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Window, windows
from tests.support.stack import Stack

PAGES = ["/", "/agents", "/agents/alpha", "/queues", "/queues/default", "/jobs", "/submit"]
PAGES += ["/jobs/{hello}", "/jobs/{fails}", "/jobs/{long}", "/jobs/{waits}", "/tokens", "/about"]
PAGES += ["/docs/api", "/docs/api/submit_job", "/audit", "/audit?subject=nobody"]
PAGES += ["/webhooks", "/webhooks/alarm", "/secrets", "/groups/{group}"]
SIZES = [(1440, 900), (820, 1100), (390, 844)]


def path_of(site: Stack, page: str) -> str:
    """The path of a page; `{name}` is the id of the job with that name."""
    if "{" not in page:
        return page
    name = page[page.index("{") + 1 : page.index("}")]
    if name == "group":
        return page.replace("{group}", site.client.groups(limit=1).items[0].id)
    (job,) = site.client.jobs(name=name).items
    return page.replace(f"{{{name}}}", job.id)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_accessible_and_fits(chromium: Any, site: Stack, page: str, scheme: str) -> None:
    path = path_of(site, page)
    for window in windows(chromium, site, color_scheme=scheme):
        for width, height in SIZES:
            window.page.set_viewport_size({"width": width, "height": height})
            shown = window.open(path)
            assert shown.title().endswith(" · remote-agent")
            assert window.violations() == [], f"{page} at {width} px"
            assert window.overflow() <= 0, f"{page} at {width} px"
        assert window.complaints == []


def test_the_sign_in_is_accessible(chromium: Any, site: Stack) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    window = Window(context.new_page(), site.url)
    shown = window.open("/login")
    assert window.violations() == [] and window.overflow() <= 0
    shown.fill("#token", "rrt_" + "x" * 43)
    shown.click("button.primary")
    assert "registration token" in shown.inner_text("[role=alert]")
    assert window.violations() == []
    context.close()
