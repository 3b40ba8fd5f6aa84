"""The pages of webhooks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from remote_server.config import WebhooksPart
from remote_server.web.pages import webhooks
from tests.support.live_server import Live, config_for, running
from tests.support.receiver import Receiver, status
from tests.support.visitor import Seen, Visitor, visitor

URL = "https://example.com/hook/only-we-know"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


@pytest.fixture
async def near(tmp_path: Path) -> AsyncIterator[Live]:
    """A server that may send to loopback."""
    part = WebhooksPart(allowed_networks=("127.0.0.0/8",))
    async with running(config_for(tmp_path).model_copy(update={"webhooks": part})) as found:
        yield found


def secret(seen: Seen) -> str:
    """The secret on the page that answers its making."""
    assert seen.status == 200, seen.words
    found = re.search(r"data-secret>(whsec_[^<]+)<", seen.text)
    assert found is not None
    return found[1]


async def shows(browser: Visitor, path: str, text: str) -> Seen:
    """The page once it holds a text."""
    async with asyncio.timeout(60):
        while text not in (page := await browser.get(path)).text:
            await asyncio.sleep(0.02)
    return page


async def test_only_admins_see_webhooks(live: Live) -> None:
    async with visitor(live, "operator") as browser:
        assert (await browser.get("/webhooks")).status == 403
        assert (
            await browser.send("/webhooks", name="a", url=URL, events="job.ended")
        ).status == 403
        for action in ("test", "change", "enable", "disable", "rotate-secret", "delete"):
            assert (await browser.send(f"/webhooks/a/{action}")).status == 403
        assert 'href="./webhooks"' not in (await browser.get("/agents")).text
    async with visitor(live) as browser:
        assert 'href="./webhooks"' in (await browser.get("/agents")).text


async def test_without_one_the_command_is_shown(live: Live) -> None:
    async with visitor(live) as browser:
        page = await browser.get("/webhooks")
        assert "No webhook" in page.words
        assert "remotectl webhook create alarm --to https://example.com/hook" in page.words


async def test_a_webhook_is_made_changed_and_deleted(
    live: Live, capfd: pytest.CaptureFixture[str]
) -> None:
    async with visitor(live) as browser:
        seen = await browser.send("/webhooks", name="alarm", url=URL, events="job.ended")
        text = secret(seen)
        assert "no-store" in seen.headers["Cache-Control"] and "sign messages" in seen.words
        page = await browser.get("/webhooks")
        assert 'data-webhook="alarm" data-state="healthy"' in page.text
        assert "example.com" in page.words and "only-we-know" not in page.text
        page = await browser.get("/webhooks/alarm")
        assert text not in page.text and f'value="{URL}"' in page.text
        seen = await browser.send(
            "/webhooks/alarm/change",
            url=URL,
            events="job.ended,agent.offline",
            queues="default gpu",
            states="failed",
            job_name="backup-*",
        )
        assert seen.location == "../../webhooks/alarm?done=changed"
        made = (await live.get("/webhooks/alarm")).body
        assert made["events"] == ["job.ended", "agent.offline"]
        assert (made["queues"], made["job_name"]) == (["default", "gpu"], "backup-*")
        page = await browser.get("/webhooks/alarm")
        assert "queue default or gpu; job name backup-*; state failed" in page.words
        # What the form leaves empty does not matter any more.
        await browser.send("/webhooks/alarm/change", url=URL, events="job.ended")
        made = (await live.get("/webhooks/alarm")).body
        assert (made["queues"], made["states"], made["job_name"]) == ([], [], None)
        seen = await browser.send("/webhooks/alarm/delete")
        assert seen.location == "../../webhooks?done=deleted"
        assert (await browser.get("/webhooks/alarm")).status == 404
    assert "only-we-know" not in "".join(capfd.readouterr())


async def test_a_webhook_is_disabled_and_enabled(live: Live) -> None:
    async with visitor(live) as browser:
        await browser.send("/webhooks", name="alarm", url=URL, events="job.ended")
        seen = await browser.send("/webhooks/alarm/disable")
        assert seen.location == "../../webhooks/alarm?done=disabled"
        page = await browser.get("/webhooks/alarm")
        assert "It is disabled." in page.words and "Send a test" not in page.words
        assert not (await live.get("/webhooks/alarm")).body["enabled"]
        assert (await browser.send("/webhooks/alarm/test")).status == 409
        await browser.send("/webhooks/alarm/enable")
        assert (await live.get("/webhooks/alarm")).body["enabled"]


async def test_a_faulty_form_comes_back_with_what_was_typed(live: Live) -> None:
    async with visitor(live) as browser:
        seen = await browser.send("/webhooks", name="no spaces", url="ftp://x", states="running")
        assert seen.status == 422
        assert 'value="no spaces"' in seen.text and 'value="ftp://x"' in seen.text
        assert "choose at least one" in seen.words and "data-open" in seen.text
        await browser.send("/webhooks", name="alarm", url=URL, events="job.ended")
        assert (
            await browser.send("/webhooks", name="alarm", url=URL, events="job.ended")
        ).status == 409
        seen = await browser.send(
            "/webhooks/alarm/change", url="nothing", events="agent.offline", end_reasons="lost"
        )
        assert seen.status == 422 and 'value="nothing"' in seen.text
        for ticked in ("agent.offline", "lost"):
            assert f'value="{ticked}" checked' in seen.text
        assert 'value="job.ended" checked' not in seen.text
        assert (await live.get("/webhooks/alarm")).body["url"] == URL


async def test_messages_are_listed_and_sent_again(near: Live, receiver: Receiver) -> None:
    async with visitor(near) as browser:
        made = await browser.send("/webhooks", name="a", url=receiver.url, events="job.ended")
        receiver.first.append(status(500))
        assert (await browser.send("/webhooks/a/test")).location.endswith("a?done=tested")
        page = await shows(browser, "/webhooks/a?state=failed", 'data-state="failed"')
        (one,) = await receiver.has(1)
        assert one.signed_with(secret(made))
        assert f'data-delivery="{one.id}"' in page.text and "answered 500" in page.words
        # A test is tried once, whatever comes of it.
        assert "No message waits to be tried again" in page.words
        assert "for a day" not in page.words
        assert "No such message" in (await browser.get("/webhooks/a?state=delivered")).words
        page = await browser.get(f"/webhooks/a/deliveries/{one.id}")
        assert '"requested_by": "admin-0"' in page.words and "answered 500" in page.words
        seen = await browser.send(f"/webhooks/a/deliveries/{one.id}/replay")
        assert seen.location == "../../../../webhooks/a?done=replayed"
        await receiver.has(2)
        await shows(browser, "/webhooks/a", f'data-delivery="{one.id}" data-state="delivered"')
        assert (await browser.get("/webhooks/a/deliveries/none")).status == 404


async def test_a_message_that_waits_is_said_to_be_tried_again(
    near: Live, receiver: Receiver
) -> None:
    receiver.first.append(status(500))
    async with visitor(near) as browser:
        await browser.send("/webhooks", name="a", url=receiver.url, events="job.ended")
        job = (await near.post("/jobs", {"command": ["true"]})).body["id"]
        await near.post(f"/jobs/{job}/cancel", {})
        page = await shows(browser, "/webhooks/a", "answered 500")
        assert "Messages that wait are tried again for a day" in page.words


async def test_a_job_that_ended_is_a_message_with_a_link(near: Live, receiver: Receiver) -> None:
    async with visitor(near) as browser:
        await browser.send("/webhooks", name="a", url=receiver.url, events="job.ended")
        job = (await near.post("/jobs", {"command": ["true"]})).body["id"]
        await near.post(f"/jobs/{job}/cancel", {})
        page = await shows(browser, "/webhooks/a?state=delivered", "data-delivery")
        assert f'href="../jobs/{job}"' in page.text


async def test_messages_are_paged(
    near: Live, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "SHOWN", 2)
    async with visitor(near) as browser:
        await browser.send("/webhooks", name="a", url=receiver.url, events="job.ended")
        for _ in range(3):
            await browser.send("/webhooks/a/test")
        page = await browser.get("/webhooks/a")
        ids = re.findall(r'data-delivery="(\w+)"', page.text)
        assert len(ids) == 2 and f'href="../webhooks/a?before={ids[-1]}"' in page.text
        older = await browser.get(f"/webhooks/a?before={ids[-1]}")
        (last,) = re.findall(r'data-delivery="(\w+)"', older.text)
        assert last not in ids and "Newest" in older.words


async def test_a_new_secret_is_shown_once(near: Live, receiver: Receiver) -> None:
    async with visitor(near) as browser:
        first = secret(
            await browser.send("/webhooks", name="a", url=receiver.url, events="job.ended")
        )
        second = secret(await browser.send("/webhooks/a/rotate-secret", grace="0s"))
        await browser.send("/webhooks/a/test")
        (one,) = await receiver.has(1)
        assert one.signed_with(second) and not one.signed_with(first)
        assert (await browser.send("/webhooks/a/rotate-secret", grace="soon")).status == 422
