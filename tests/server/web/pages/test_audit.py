"""The page of the audit."""

from __future__ import annotations

import csv
import json

import pytest

from remote_server.domain.audit import Entry, Recorded
from remote_server.domain.model import SYSTEM
from remote_server.web.pages import audit
from remote_server.web.pages.audit import AuditRow
from tests.support.live_server import Live
from tests.support.visitor import visitor


def row(**fields: object) -> AuditRow:
    entry = Recorded(
        *(7, 1.5, "api", "alice", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "192.0.2.7", "queue.update"),
        *("queue", "ber/lin", "ok", 0, "{}", "ab"),
    )
    return AuditRow(entry._replace(**fields))  # type: ignore[arg-type]


def test_an_entry_in_words() -> None:
    assert (row().who, row().link, row().refused) == ("alice", "queues/ber%2Flin", False)
    assert row(actor_kind="command_line", actor="root").who == "command line root"
    assert row(actor_kind="unknown", actor="").who == "unknown"
    assert row(kind="token").link == ""
    assert row(kind="server", subject="").what == "server"
    assert row(kind="token", subject="01ARZ3NDEKTSV4RRFFQ69G5FAV").what == "01ARZ3NDEK…"
    assert row(subject="q" * 41).what == "q" * 39 + "…"
    assert row(result="forbidden").refused
    changed = '{"paused":{"old":false,"new":true},"job_retention":{"old":null,"new":60.0}}'
    assert row(detail=changed).detail == "paused no → yes, job retention none → 60.0"
    assert row(detail='{"queues":["a","b"],"labels":{"k":"v"},"n":1}').detail == (
        "queues a b, labels k=v, n 1"
    )


async def test_admins_see_what_was_done_and_filter_it(live: Live) -> None:
    await live.post("/queues", {"name": "berlin"})
    await live.ask("PATCH", "/queues/berlin", {"paused": True})
    async with visitor(live) as browser:
        page = await browser.get("/audit")
        assert "queue.pause" in page.words and "paused no → yes" in page.words
        assert 'href="./queues/berlin"' in page.text and 'title="Audit"' in page.text
        seen = await browser.get("/audit?action=session.&actor=&subject=&cursor=7")
        assert seen.location == "./audit?action=session."
        page = await browser.get("/audit?action=session.")
        assert "session.sign_in" in page.words and "queue.pause" not in page.words
        page = await browser.get("/audit?subject=paris")
        assert "No entry matches Looked for: subject paris." in page.words
        assert "remotectl audit --all" in page.words
        page = await browser.get("/audit?since=yesterday")
        assert page.status == 422 and "This filter cannot be used." in page.words
        assert 'value="yesterday"' in page.text and "data-live" not in page.text


async def test_the_page_says_where_the_chain_ends(live: Live) -> None:
    async with visitor(live) as browser:
        page = await browser.get("/audit?limit=1")
        assert page.status == 422
        page = await browser.get("/audit")
        end = await live.services.store.audit_end()
        assert f'data-end="{end.number}"' in page.text and f'title="{end.hash}"' in page.text
        assert "remote-server check" in page.words


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_others_neither_see_it_nor_the_way_there(live: Live, role: str) -> None:
    async with visitor(live, role) as browser:
        for path in ("/audit", "/audit/export"):
            assert (await browser.get(path)).status == 403
        assert 'title="Audit"' not in (await browser.get("/about")).text


async def test_pages_go_on_where_the_last_one_ended(live: Live) -> None:
    for number in range(60):
        await live.post("/queues", {"name": f"q{number}"})
    async with visitor(live) as browser:
        page = await browser.get("/audit?action=queue.")
        assert page.text.count("data-entry=") == 50 and "data-live" in page.text
        older = page.text.split('rel="next" href="./')[1].split('"')[0].replace("&amp;", "&")
        page = await browser.get(f"/{older}")
        assert page.text.count("data-entry=") == 10 and "from an older page" in page.words
        assert "data-live" not in page.text


async def test_what_strangers_named_is_only_text(live: Live) -> None:
    await live.ask("DELETE", "/queues/%3Cscript%3E")
    await live.services.trail.write()
    async with visitor(live) as browser:
        page = await browser.get("/audit?result=refused")
        assert "<script>" not in page.text.split("<main")[1]
        assert "not found" in page.words


async def test_what_was_counted_is_told(live: Live) -> None:
    again = Entry(SYSTEM, "access", "call", "jobs", {}, "forbidden", 1200)
    await live.services.store.record_audit([again])
    async with visitor(live) as browser:
        page = await browser.get("/audit?result=forbidden")
        assert "1,200 more like this" in page.words.replace("\u202f", ",")


async def test_an_export_has_all_that_the_filter_finds(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_EXPORTED", 3)
    for number in range(7):
        await live.post("/queues", {"name": f"q{number}", "description": "=1+1"})
    await live.ask("PATCH", "/queues/q1", {"description": "a, b"})
    async with visitor(live) as browser:
        seen = await browser.get("/audit/export?action=queue.create")
        assert seen.headers["Content-Disposition"] == 'attachment; filename="audit.ndjson"'
        assert seen.headers["Content-Type"] == "application/x-ndjson; charset=utf-8"
        found = [json.loads(line) for line in seen.text.splitlines()]
        assert [one["subject"] for one in found] == [f"q{number}" for number in range(7)]
        seen = await browser.get("/audit/export?format=csv&subject=q1")
        assert seen.headers["Content-Type"] == "text/csv; charset=utf-8"
        head, created, updated = list(csv.reader(seen.text.splitlines()))
        assert head == list(Recorded._fields)
        assert (created[6], created[8], created[9]) == ("queue.create", "q1", "ok")
        assert json.loads(updated[11])["description"] == {"old": "=1+1", "new": "a, b"}
        page = await browser.get("/audit?subject=q1")
        assert 'href="./audit/export?subject=q1&amp;format=csv"' in page.text
        assert (await browser.get("/audit/export?format=xml")).status == 422


def test_no_cell_is_a_formula() -> None:
    text = audit._csv([row(actor="=cmd|' /C calc'!A0", subject='"x",y').entry])
    (cells,) = csv.reader(text.splitlines())
    assert (cells[3], cells[8]) == ("'=cmd|' /C calc'!A0", '"x",y')
    assert cells[1] == "1970-01-01T00:00:01.500Z"
