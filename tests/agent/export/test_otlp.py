"""An agent's metrics reach a collector of OpenTelemetry, read by OpenTelemetry's own models."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from structlog.testing import capture_logs

from remote_agent import __version__
from remote_agent.export.otlp import OtlpSender, request_of
from remote_protocol.metrics import Family
from tests.support.agent_metrics import FAMILIES
from tests.support.collector import collector


@asynccontextmanager
async def sending(url: str) -> AsyncIterator[asyncio.Task[None]]:
    sender = OtlpSender(url, None, "a-1", lambda: FAMILIES, 0.01)
    task = asyncio.create_task(sender.run())
    try:
        async with asyncio.timeout(60):
            yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_metrics_arrive() -> None:
    with collector() as found:
        async with sending(f"{found.url}/"):
            while not found.metrics:
                await asyncio.sleep(0.01)
    assert found.about == {
        "service.name": "remote-agent",
        "service.version": __version__,
        "service.instance.id": "a-1",
    }
    (running,) = found.metrics["remote_agent_jobs_running"].gauge.data_points
    assert running.as_double == 3 and running.time_unix_nano >= running.start_time_unix_nano > 0
    ended = found.metrics["remote_agent_jobs_total"]
    assert ended.sum.is_monotonic and ended.sum.aggregation_temporality == 2
    (point,) = ended.sum.data_points
    assert point.as_double == 7 and point.attributes[0].key == "end_reason"
    assert point.attributes[0].value.string_value == "exit"
    assert found.metrics["process_cpu_seconds_total"].unit == "s"
    assert found.metrics["remote_agent_spool_bytes"].unit == "By"
    assert found.metrics["remote_agent_spool_bytes"].gauge.data_points[0].as_double == 1 << 40


async def test_a_collector_that_refuses_is_named_once_until_it_takes_them() -> None:
    with collector() as found, capture_logs() as logs:
        found.status = 400
        async with sending(found.url):
            while found.refused < 2:
                await asyncio.sleep(0.01)
            found.status = 200
            while len(logs) < 2:
                await asyncio.sleep(0.01)
    assert [entry["event"] for entry in logs] == [
        "metrics cannot be sent; trying again",
        "metrics are sent again",
    ]
    assert logs[0]["reason"] == "the collector answers 400 Bad Request"


async def test_a_collector_that_is_away_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with capture_logs() as logs:
        async with sending(url):
            while not logs:
                await asyncio.sleep(0.01)
    assert "refused" in logs[0]["reason"].lower()


async def test_what_hangs_ends_with_the_loop() -> None:
    asked, go = Event(), Event()

    class Hangs(OtlpSender):
        def _post(self, body: bytes) -> None:
            asked.set()
            go.wait(60)

    task = asyncio.create_task(
        Hangs("http://127.0.0.1:1", None, "a-1", lambda: FAMILIES, 0.01).run()
    )
    async with asyncio.timeout(60):
        while not asked.is_set():
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled() and not go.is_set()
    go.set()


async def test_a_ca_that_cannot_be_read_is_a_failure_and_no_end(tmp_path: Path) -> None:
    sender = OtlpSender("https://127.0.0.1:1", str(tmp_path / "none"), "a", lambda: FAMILIES, 0.01)
    with capture_logs() as logs:
        task = asyncio.create_task(sender.run())
        async with asyncio.timeout(60):
            while not logs:
                await asyncio.sleep(0.01)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert "No such file" in logs[0]["reason"]


@pytest.mark.parametrize("families", [[], FAMILIES[:1]])
def test_a_request_has_one_resource(families: list[Family]) -> None:
    request: Any = request_of(families, "a", 1.0, 2.0)
    (resource,) = request["resourceMetrics"]
    (scope,) = resource["scopeMetrics"]
    assert len(scope["metrics"]) == len(families)
