"""acryl-executor's task that has a server execute it: against a real server, without an agent."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from remote_datahub.report import ARTIFACT
from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason
from tests.server.web.api.test_artifacts import give
from tests.support import acryl
from tests.support.live_server import Live, config_for, running
from tests.support.stored import finish, started

ARGS = {"recipe": json.dumps({"source": {"type": "file"}}), "version": "native"}
DEADLINE = 60.0


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    """A running server with an agent's name."""
    async with running(config_for(tmp_path)) as found:
        await found.register("a")
        yield found


@pytest.fixture
def task(live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A task, as acryl-executor makes it from its configuration."""
    acryl.put_in_place(monkeypatch)
    monkeypatch.delitem(sys.modules, "remote_datahub.task", raising=False)
    token = tmp_path / "token"
    token.write_text(f"{live.token}\n")
    configs = {
        "url": live.url,
        "token_file": str(token),
        "heartbeat_time_seconds": 0.05,
        "poll_seconds": 0.02,
        "kill_seconds": 20,
    }
    made = import_module("remote_datahub.task").RemoteTask
    return made.create(configs, acryl.ExecutorContext(executor_id="default"))


async def begun(live: Live) -> AttemptId:
    """Have an agent start the job of the execution, as soon as it is there."""
    store = live.services.store
    async with asyncio.timeout(DEADLINE):
        while not (jobs := (await live.get("/jobs")).body["items"]):
            await asyncio.sleep(0.01)
    now = time.time()
    (lease,) = await store.assign([(jobs[0]["id"], "a")], now)
    return await started(store, lease, now)


def line(text: str) -> bytes:
    return f"2026-11-21T03:04:05.123456789Z stdout F {text}\n".encode()


async def test_it_reports_progress_and_takes_over_the_report(live: Live, task: Any) -> None:
    seen: list[str] = []
    context = acryl.ExecutionContext("e1", "RUN_INGEST", seen.append)
    running_task = asyncio.create_task(task.execute(ARGS, context))
    key = await begun(live)
    live.services.logs.append(key, line("first"))
    async with asyncio.timeout(DEADLINE):
        while "first\n" not in seen:
            await asyncio.sleep(0.01)
    live.services.logs.append(key, line("second"))
    await finish(live.services.store, key, now=time.time(), artifacts=1)
    await give(live, key, 1, ARTIFACT, b'{"source": {}}')
    await asyncio.wait_for(running_task, DEADLINE)
    report = context.report
    assert report.logs == "first\nsecond\n"
    assert report.structured == '{"source": {}}'
    assert report.infos[0] == f"Job {key.job} of {live.url}"
    assert report.infos[-1] == "Successfully executed 'datahub ingest'"
    assert report.errors == []


async def test_one_that_fails_says_why(live: Live, task: Any) -> None:
    context = acryl.ExecutionContext("e1", "TEST_CONNECTION")
    running_task = asyncio.create_task(task.execute(ARGS, context))
    key = await begun(live)
    await finish(live.services.store, key, 1, now=time.time(), end_detail="exited with code 1")
    with pytest.raises(acryl.TaskError, match=r"^exited with code 1$"):
        await asyncio.wait_for(running_task, DEADLINE)
    assert context.report.errors == ["exited with code 1"]
    assert context.report.infos[-1] == "Failed to execute 'datahub test connection', exit code 1"


async def test_one_that_is_cancelled_is_killed_and_waited_for(live: Live, task: Any) -> None:
    context = acryl.ExecutionContext("e1", "RUN_INGEST")
    running_task = asyncio.create_task(task.execute(ARGS, context))
    key = await begun(live)
    running_task.cancel()
    async with asyncio.timeout(DEADLINE):
        while (await live.services.store.job(key.job)).cancel_requested_at is None:
            await asyncio.sleep(0.01)
    live.services.logs.append(key, line("last words"))
    await finish(live.services.store, key, 143, EndReason.CANCELLED, now=time.time())
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running_task, DEADLINE)
    assert context.report.logs == "last words\n"


async def test_one_that_somebody_else_cancels_ends_as_cancelled(live: Live, task: Any) -> None:
    context = acryl.ExecutionContext("e1", "RUN_INGEST")
    running_task = asyncio.create_task(task.execute(ARGS, context))
    key = await begun(live)
    await live.post(f"/jobs/{key.job}/cancel")
    await finish(live.services.store, key, 143, EndReason.CANCELLED, now=time.time())
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running_task, DEADLINE)


async def test_what_the_server_refuses_is_the_tasks_error(live: Live, task: Any) -> None:
    context = acryl.ExecutionContext("e1", "RUN_INGEST")
    with pytest.raises(acryl.TaskError, match="the recipe is not JSON"):
        await task.execute({**ARGS, "recipe": "no: json"}, context)
    assert "the recipe is not JSON" in context.report.errors[0]


async def test_a_configuration_that_is_none_is_named(task: Any) -> None:
    with pytest.raises(ValidationError, match="urll"):
        type(task).create({"urll": "x"}, acryl.ExecutorContext(executor_id="default"))
