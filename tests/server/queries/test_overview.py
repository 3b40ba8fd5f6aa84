"""What the fleet does now."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_protocol.messages import Hello, Settings
from remote_protocol.states import AgentState
from remote_server.disk.reserve import Disk, Reserve
from remote_server.domain.links import AgentStatus
from remote_server.errors import StoreUnavailable
from remote_server.logs import Logs
from remote_server.queries.fleet import FleetReader
from remote_server.queries.history import History
from remote_server.queries.overview import MOST_CELLS, OverviewReader
from remote_server.queries.sources import Sources
from remote_server.store import Store
from tests.support.fake_links import FakeLinks
from tests.support.memory_logs import memory_logs
from tests.support.stored import NOW, finish, running, submitted


def hello(**settings: object) -> Hello:
    return Hello(
        oldest=1,
        newest=1,
        installation="i",
        session="0" * 26,
        agent_version="0.0.1",
        settings=Settings.model_validate(settings),
    )


def reader(
    sources: Sources, root: Path, free: int = 1 << 40, logs: Logs | None = None
) -> OverviewReader:
    reserve = Reserve(root, 1 << 30, lambda: Disk(1 << 40, free))
    history = History()
    sources.store.on_commit(history.committed)
    return OverviewReader(sources, FleetReader(sources), reserve, history, logs or memory_logs())


async def test_it_tells_what_is_and_what_needs_attention(
    sources: Sources, store: Store, links: FakeLinks, tmp_path: Path
) -> None:
    found = reader(sources, tmp_path)
    now = time.time()
    await store.create_queue(QueueCreate(name="lyon"), NOW)
    await store.bump_epoch("a", hello(capacity={"default": 4}), "", now)
    await store.bump_epoch("b", hello(capacity={"default": 2}), "", now)
    await store.bump_epoch("c", hello(), "", now)
    for name in ("a", "b"):
        links.statuses[name] = AgentStatus(AgentState.ONLINE)
    await store.set_wishes("b", now, paused=True)
    key = await running(store, now=now - 30, timeout=60)
    await finish(store, await running(store, now=now), 3)
    await submitted(store, now=now - 5, queue="lyon")
    await submitted(store, now=now)
    await store.create_token("api", "x", "ci", now - 99 * 86400, expires_at=now + 86400)
    seen = await found.read()
    assert seen.agents == (3, 2, 0, 1, 1)
    assert (seen.busy, seen.places, seen.held, seen.free) == (1, 6, 2, 3)
    assert (seen.waiting, seen.waiting_queues, seen.stuck) == (2, 2, 1)
    assert (seen.ended, seen.failed, seen.jobs) == (1, 1, 4)
    assert [job.id for job in seen.longest] == [key.job]
    assert [job.exit_code for job in seen.failures] == [3]
    assert [queue.name for queue in seen.queues] == ["default", "lyon"]
    assert [(cell.name, cell.condition, cell.places) for cell in seen.cells] == [
        ("a", "online", 4),
        ("b", "paused", 2),
        ("c", "offline", 4),
    ]
    assert [notice.lead for notice in seen.notices] == [
        "No agent serves lyon.",
        "c is offline:",
        "3 agents run 0.0.1,",
        "API token ci expires soon.",
    ]
    assert abs((seen.notices[0].at or 0) - (now - 5)) < 1


async def test_jobs_of_a_paused_queue_cannot_start(
    sources: Sources, store: Store, tmp_path: Path
) -> None:
    await submitted(store)
    await store.change_queue("default", QueueChange(paused=True))
    seen = await reader(sources, tmp_path).read()
    assert (seen.waiting, seen.stuck) == (1, 1)
    assert [notice.lead for notice in seen.notices] == ["Queue default is paused."]


async def test_a_disk_that_is_low_comes_first(
    sources: Sources, store: Store, tmp_path: Path
) -> None:
    await submitted(store)
    seen = await reader(sources, tmp_path, free=1000).read()
    assert [notice.icon for notice in seen.notices] == ["disk", "error"]
    assert "below its reserve" in seen.notices[0].more


async def test_of_a_large_fleet_only_the_exceptions_are_drawn(
    sources: Sources, store: Store, links: FakeLinks, tmp_path: Path
) -> None:
    for number in range(MOST_CELLS + 1):
        await store.bump_epoch(f"a{number:03}", hello(), "", NOW)
        links.statuses[f"a{number:03}"] = AgentStatus(AgentState.ONLINE)
    links.statuses["a007"] = AgentStatus(AgentState.STALE, silence=9.0)
    seen = await reader(sources, tmp_path).read()
    assert seen.agents.total == MOST_CELLS + 1
    assert [cell.name for cell in seen.cells] == ["a007"]


async def test_the_numbers_on_every_page_come_from_it(
    sources: Sources, store: Store, tmp_path: Path
) -> None:
    await store.bump_epoch("a", hello(), "", NOW)
    await running(store)
    await submitted(store)
    found = reader(sources, tmp_path)
    # The queue without an agent online, and the agent that is offline; its version is a note.
    assert await found.figures() == (1, 1, 1, 2)
    await submitted(store)
    assert await found.figures() == (1, 1, 1, 2)


async def test_a_database_that_is_away_takes_the_numbers_from_pages_not_the_pages(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise StoreUnavailable("the database is away")

    monkeypatch.setattr(sources.store, "counts", away)
    assert await reader(sources, tmp_path).figures() is None


async def test_an_archive_that_takes_no_logs_is_told(sources: Sources, tmp_path: Path) -> None:
    logs = memory_logs()
    logs.archive_fault = "the archive of logs s3://logs: access is denied"
    seen = await reader(sources, tmp_path, logs=logs).read()
    (notice,) = [notice for notice in seen.notices if "archive" in notice.lead]
    assert (notice.tone, notice.more) == (
        "warning",
        "the archive of logs s3://logs: access is denied.",
    )
