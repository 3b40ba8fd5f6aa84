"""What every page has around its subject."""

from __future__ import annotations

import re

import pytest
from yarl import URL

from remote_protocol.ids import Role
from remote_server.web.application import ROUTES
from remote_server.web.route import Route
from tests.support.live_server import Live
from tests.support.visitor import visitor


@pytest.mark.parametrize(
    ("path", "root"), [("/", "./"), ("/queues", "./"), ("/queues/default", "../")]
)
async def test_links_are_relative_to_the_root(live: Live, path: str, root: str) -> None:
    """So that they hold behind a proxy that serves the pages under another path."""
    async with visitor(live) as browser:
        page = await browser.get(path)
        assert f'data-root="{root}"' in page.text and f'href="{root}queues"' in page.text
        assert not re.findall(r'(?:href|src|action)="(?:/|https?:)', page.text)


async def test_a_page_trusts_no_script_but_ours(live: Live) -> None:
    async with visitor(live) as browser:
        page = await browser.get("/")
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Cache-Control"] == "no-store"
        assert not re.findall(r"<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=", page.text)


async def test_text_from_outside_stays_text(live: Live) -> None:
    evil = "<script>alert(1)</script>"
    await live.post("/queues", {"name": "q", "description": evil})
    async with visitor(live) as browser:
        for path in ("/queues", "/queues/q", "/?done=%3Cscript%3E"):
            page = await browser.get(path)
            assert evil not in page.text and "<script>" not in page.text
        assert evil in (await browser.get("/queues/q")).words


async def test_what_was_done_is_said_by_a_known_word_only(live: Live) -> None:
    async with visitor(live) as browser:
        assert "Saved." in (await browser.get("/queues?done=changed")).words
        assert "nonsense" not in (await browser.get("/queues?done=nonsense")).words


async def test_the_theme_is_drawn_from_its_cookie(live: Live) -> None:
    async with visitor(live, None) as browser:
        for theme, drawn in (("dark", 'data-theme="dark"'), ('"><x', '<html lang="en">')):
            page = await browser.get("/login", Cookie=f"remote_theme={theme}")
            assert drawn in page.text


async def test_only_what_may_be_done_is_drawn(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/queues/default")
        assert "/pause" not in page.text and 'href="../tokens"' not in page.text
    async with visitor(live, "operator") as browser:
        page = await browser.get("/queues/default")
        assert "/pause" in page.text and 'href="../tokens"' not in page.text


PAGES = [route for route in ROUTES if route.page and route.access.kinds]


def path_of(route: Route) -> str:
    return re.sub(r"\{\w+\}", "x", route.path)


@pytest.mark.parametrize("route", PAGES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_page_wants_a_session(live: Live, route: Route) -> None:
    async with visitor(live, None) as browser:
        for secret in ("", "x" * 43):
            cookie = {"Cookie": f"remote_session={secret}", "Authorization": f"Bearer {live.token}"}
            seen = await browser.ask(route.method, path_of(route), None, cookie)
            assert "login" in seen.location


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_every_page_asks_for_the_role(live: Live, role: Role) -> None:
    async with visitor(live, role) as browser:
        for route in PAGES:
            if route.access.role and not role.includes(route.access.role):
                seen = await browser.ask(route.method, path_of(route), None, {})
                assert seen.status == 403 and f"role {route.access.role}" in seen.words


async def test_no_action_is_done_without_the_secret_of_the_session(live: Live) -> None:
    async with visitor(live) as browser:
        for route in PAGES:
            if route.method == "POST":
                seen = await browser.ask("POST", path_of(route), {"x": "y"}, {})
                assert seen.status == 403 and "another session" in seen.words


def test_pages_are_asked_for_or_act() -> None:
    assert PAGES and {route.method for route in PAGES} == {"GET", "POST"}


async def test_a_slash_within_a_name_is_no_step_of_the_path(live: Live) -> None:
    """Else links and forms, with the secret of the session, would leave the pages of a proxy that
    has other sites beside them."""
    async with (
        visitor(live) as browser,
        browser.session.get(
            URL(f"{live.url}/agents/a%2Fb%2Fc", encoded=True), headers={"Accept": "text/html"}
        ) as answer,
    ):
        assert 'data-root="../"' in await answer.text()
