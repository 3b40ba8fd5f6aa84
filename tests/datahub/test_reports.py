"""The report that an ingestion wrote itself, as it comes after the end of its job."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from remote_datahub import reports
from remote_datahub.report import ARTIFACT
from remote_datahub.reports import REPORT_TIMEOUT
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import ArtifactLost
from tests.server.web.api.test_artifacts import give
from tests.support.live_server import Live, config_for, running
from tests.support.stored import finish, started

ASKED = {"exec_id": "e1", "name": "RUN_INGEST", "args": {"recipe": '{"source": {"type": "file"}}'}}
STRUCTURED = json.dumps({"source": {"type": "file", "report": {"events_produced": 10}}})


@pytest.fixture
async def live(tmp_path: Path) -> AsyncIterator[Live]:
    """A running server with an agent."""
    async with running(config_for(tmp_path)) as found:
        await found.register("a")
        yield found


async def ended(live: Live, artifacts: int, at: float | None = None) -> AttemptId:
    """An execution whose job has ended, and gives so many files back."""
    job = (await live.post("/datahub/executions", ASKED)).body["job"]
    store, now = live.services.store, time.time() if at is None else at
    (lease,) = await store.assign([(job, "a")], now)
    key = await started(store, lease, now)
    await finish(store, key, now=now, artifacts=artifacts)
    return key


async def shown(live: Live) -> Any:
    return (await live.get("/datahub/executions/e1?lines=0")).body


async def test_an_execution_is_over_when_its_report_is_there(live: Live) -> None:
    key = await ended(live, artifacts=2)
    assert ((await shown(live))["status"], (await shown(live))["end_time_ms"]) == ("RUNNING", None)
    await give(live, key, 1, "other.txt", b"x")
    assert (await shown(live))["status"] == "RUNNING"
    await give(live, key, 2, ARTIFACT, STRUCTURED.encode())
    found = await shown(live)
    assert found["status"] == "SUCCESS"
    assert found["result"]["structuredReport"] == {
        "type": "RUN_INGEST",
        "serializedValue": STRUCTURED,
        "contentType": "application/json",
    }
    assert "~~~~ Ingestion Report ~~~~" in found["result"]["report"]


async def test_one_that_gives_nothing_back_is_over_at_once(live: Live) -> None:
    await ended(live, artifacts=0)
    found = await shown(live)
    assert (found["status"], found["result"]["structuredReport"]) == ("SUCCESS", None)


async def test_a_report_that_got_lost_holds_nothing_up(live: Live) -> None:
    key = await ended(live, artifacts=1)
    lost = ArtifactLost(attempt=key, number=1, name=ARTIFACT, reason="it is gone")
    await live.services.store.announce_artifact("a", lost, 1 << 30, time.time())
    assert (await shown(live))["status"] == "SUCCESS"


async def test_a_host_that_is_gone_holds_nothing_up_for_long(live: Live) -> None:
    await ended(live, artifacts=1, at=time.time() - REPORT_TIMEOUT - 1)
    assert (await shown(live))["status"] == "SUCCESS"


async def test_a_report_that_is_too_large_for_datahub_is_the_jobs_only(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MAX_STRUCTURED", len(STRUCTURED) - 1)
    key = await ended(live, artifacts=1)
    await give(live, key, 1, ARTIFACT, STRUCTURED.encode())
    found = await shown(live)
    assert (found["status"], found["result"]["structuredReport"]) == ("SUCCESS", None)
