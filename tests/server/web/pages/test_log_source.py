"""What pages know of a log before it is looked at."""

from __future__ import annotations

from remote_server.web.pages import rendering
from remote_server.web.pages.log_source import plain
from tests.server.web.api.test_logs import begun, write
from tests.support.live_server import Live
from tests.support.visitor import visitor


def test_a_line_without_a_script_is_as_it_was_drawn_last() -> None:
    assert plain("\x1b[31mred\x1b[0m") == "red"
    assert plain("10 %\r20 %\r") == "20 %"
    assert plain("text\r") == "text"
    assert plain("\x1b]0;title\x07a\x1b") == "a"


async def test_a_page_of_a_job_shows_the_log_of_its_attempt(live: Live) -> None:
    key = await begun(live)
    write(live, key, b"hello\n")
    async with visitor(live, "viewer") as browser:
        page = await browser.get(f"/jobs/{key.job}/log?attempt=1")
        assert 'id="viewer"' in page.text and "<code>hello</code>" in page.text


def test_a_page_that_gives_no_log_shows_the_viewer_all_the_same() -> None:
    page = '{% import "macros.html" as m %}{% include "log.html" %}'
    template = rendering._environment().from_string(page)
    values = {"job": {"id": "J"}, "root": "../", "asset": lambda name: f"static/{name}"}
    shown = template.render(attempt=2, **values)
    assert 'data-log="../jobs/J/log" data-attempt="2"' in shown and "log.js" in shown
    before = template.render(attempt=0, **values)
    assert "No log yet" in before and "data-keep" not in before and "log.js" in before
