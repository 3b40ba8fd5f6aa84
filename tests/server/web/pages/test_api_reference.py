"""The pages of the API: every call, found by its words, with its fields and answers."""

from __future__ import annotations

from remote_server.web.application import ROUTES
from remote_server.web.openapi.document import operation_id
from tests.support.live_server import Live
from tests.support.visitor import visitor

CALLS = {operation_id(route) for route in ROUTES if not route.page}


async def test_it_lists_every_call_and_about_leads_there(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        assert 'href="./docs/api"' in (await browser.get("/about")).text
        page = await browser.get("/docs/api")
        for name in CALLS:
            assert f'data-operation="{name}"' in page.text
        assert 'href="../api/v1/openapi.json"' in page.text


async def test_it_is_searched_by_words(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/docs/api?q=agent%20drain")
        assert 'data-operation="drain_agent"' in page.text
        assert 'data-operation="submit_job"' not in page.text
        nothing = await browser.get("/docs/api?q=no-such-word")
        assert "No call has these words" in nothing.words


async def test_every_call_has_a_page(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        for name in CALLS:
            page = await browser.get(f"/docs/api/{name}")
            assert page.status == 200, name
            assert f'data-operation="{name}"' in page.text
            assert 'data-status="400"' in page.text, name


async def test_a_call_is_told_with_fields_example_and_answers(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        page = await browser.get("/docs/api/submit_job")
        for field in ("command", "timeout", "Idempotency-Key", "lost_after"):
            assert f'data-field="{field}"' in page.text
        for status in ("200", "201", "422"):
            assert f'data-status="{status}"' in page.text
        assert "nightly tests" in page.words
        assert "role operator or higher" in page.words


async def test_what_is_no_call_is_not_found(live: Live) -> None:
    async with visitor(live, "viewer") as browser:
        assert (await browser.get("/docs/api/no_such_call")).status == 404


async def test_it_is_for_those_who_signed_in(live: Live) -> None:
    async with live.session.get(f"{live.url}/docs/api", allow_redirects=False) as answer:
        assert answer.status == 303
