"""What is asked for is sent, by a real server; what cannot be sent holds nobody up."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.trace import Part, span_of
from remote_server.config import Address, TelemetryPart
from remote_server.errors import ServerError
from remote_server.export import loops
from remote_server.store import Store
from tests.support.collector import Collector, collector
from tests.support.live_server import Live, config_for, running
from tests.support.stored import finish
from tests.support.stored import running as run_job

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def config_with(tmp_path: Path, **telemetry: Any) -> Any:
    part = TelemetryPart(interval=1.0, **telemetry)
    return config_for(tmp_path).model_copy(update={"telemetry": part})


async def end_one(live: Live, **fields: Any) -> str:
    key = await run_job(live.services.store, now=time.time(), **fields)
    await finish(live.services.store, key, 3, now=time.time())
    return key.job


async def until(found: Collector, count: int) -> None:
    async with asyncio.timeout(100):
        while len(found.spans) < count or "remote_jobs" not in found.metrics:
            await asyncio.sleep(0.02)


async def test_spans_and_metrics_reach_a_collector(tmp_path: Path) -> None:
    with collector() as found:
        async with running(config_with(tmp_path, otlp=found.url)) as live:
            job = await end_one(live, traceparent=GIVEN)
            await until(found, 5)
            found.metrics.clear()
            await until(found, 5)
    spans = {span.name: span for span in found.spans}
    assert spans.keys() == {"job", "queue", "dispatch", "run", "upload"}
    assert {span.trace_id.hex() for span in found.spans} == {GIVEN.split("-")[1]}
    assert spans["job"].parent_span_id.hex() == GIVEN.split("-")[2]
    assert spans["run"].span_id.hex() == span_of(job, Part.RUN, 1)
    assert spans["run"].parent_span_id.hex() == span_of(job)
    assert found.metrics["remote_jobs_failed_total"].sum.data_points[0].attributes
    assert found.metrics["remote_traces_sent_total"].sum.data_points


async def test_a_collector_that_is_away_holds_nobody_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with collector() as found:
        found.status = 400
        async with running(config_with(tmp_path, otlp=found.url)) as live:
            await end_one(live)
            async with asyncio.timeout(100):
                while found.refused < 2:
                    await asyncio.sleep(0.02)
                assert (await live.get("/queues")).status == 200
                found.status = 200
                await end_one(live)
                await until(found, 5)
    assert capsys.readouterr().out.count("cannot be sent") == 1


async def test_metrics_reach_statsd(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.setblocking(False)
        address = Address(*receiver.getsockname())
        async with running(config_with(tmp_path, statsd=address)) as live:
            await end_one(live)
            seen: list[bytes] = []
            async with asyncio.timeout(100):
                while b"remote_jobs_failed_total:1|c|#queue:default" not in seen:
                    data = await asyncio.get_running_loop().sock_recv(receiver, 65536)
                    seen += data.split(b"\n")
    assert b"remote_queue_depth:0|g|#queue:default" in seen
    assert b"remote_queue_wait_seconds.count:1|c|#queue:default" in seen


async def test_nothing_is_sent_by_default(store: Store) -> None:
    async def read() -> list[Any]:
        raise AssertionError("nobody asks")

    assert loops.exports(TelemetryPart(), read, store) == loops.Export()


async def test_a_package_that_is_missing_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read() -> list[Any]:
        return []

    monkeypatch.setattr(loops, "find_spec", lambda name: None)
    with pytest.raises(ServerError, match=r"pip install 'remote-server\[otlp\]'"):
        loops.exports(TelemetryPart(otlp="http://127.0.0.1:4318"), read, store)
