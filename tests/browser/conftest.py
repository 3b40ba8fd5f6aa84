"""A real browser, and a real server with an agent and jobs for it to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright

from remote_protocol.api.secrets import SecretPut
from tests.support.stack import Stack

AXE = Path(__file__).resolve().parents[2] / "build" / "browser" / "axe.min.js"
CHROMIUM = "/usr/bin/chromium"


@dataclass
class Window:
    """One page of one browser, signed in, and what it complained of."""

    page: Any
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        """Go to a page of the dashboard; the page."""
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self, token: str) -> None:
        """Sign in with an API token."""
        self.open("/login").fill("#token", token)
        self.page.click("button.primary")
        self.page.wait_for_selector("nav[aria-label=Main]")

    def violations(self) -> list[str]:
        """What axe finds wrong on the page that is open (WCAG 2.2 A and AA, best practices)."""
        # As a part of the browser, not of the page: its policy allows no script but its own.
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("async () => (await axe.run()).violations")
        return [
            f"{one['id']}: {node['html'][:200]} ({node['failureSummary']})"
            for one in found
            for node in one["nodes"]
        ]

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser's process."""
    # What is waited for comes within a second, unless this machine builds images beside it.
    expect.set_options(timeout=120_000)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with one agent and some jobs: ended well and badly, running, waiting."""
    with Stack(tmp_path_factory.mktemp("site")) as stack:
        stack.start_server()
        stack.agent("alpha", "--label", "disk=ssd", capacity=4)
        stack.run(command=["uname", "-a"], name="hello")
        stack.ctl("run", "--each", "--max-parallel", "1", "--name", "everywhere", "--", "true")
        stack.run(command=["sh", "-c", "echo oops >&2; exit 3"], name="fails")
        stack.submit(command=["sleep", "600"], name="long")
        stack.submit(command=["true"], name="waits", labels={"gpu": "h100"})
        # Its messages fail: no other host is asked for anything.
        url = "https://127.0.0.1:9/hook"
        stack.ctl("webhook", "create", "alarm", "--to", url, "--event", "job.ended", check=True)
        stack.ctl("webhook", "test", "alarm")
        stack.client.set_secret("DB_PASSWORD", SecretPut(value="only we know"))
        yield stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A server of its own."""
    with Stack(tmp_path) as own:
        own.start_server()
        yield own


def windows(chromium: Any, stack: Stack, **options: Any) -> Iterator[Window]:
    """A signed-in window, whose complaints must be none at the end."""
    context = chromium.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
    window = Window(context.new_page(), stack.url)
    complain = window.complaints.append
    window.page.on("pageerror", lambda error: complain(str(error)))
    window.page.on("console", lambda said: said.type == "error" and complain(said.text))
    window.sign_in(stack.admin_token)
    yield window
    context.close()


@pytest.fixture
def window(chromium: Any, site: Stack) -> Iterator[Window]:
    """A window on the site that all tests share."""
    for one in windows(chromium, site):
        yield one
        assert one.complaints == []
