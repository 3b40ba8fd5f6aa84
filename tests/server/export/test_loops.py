"""What is asked for is sent, by a real server; what cannot be sent holds nobody up."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.trace import Part, span_of, trace_of
from remote_server.config import TelemetryPart
from remote_server.errors import ServerError
from remote_server.export import PendingSpans, loops
from remote_server.setting_values import Address
from remote_server.store import Store
from tests.support.collector import Collector, collector
from tests.support.live_server import Live, config_for, running
from tests.support.stored import finish, submitted
from tests.support.stored import running as run_job

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def config_with(tmp_path: Path, **telemetry: Any) -> Any:
    part = TelemetryPart(interval=1.0, **telemetry)
    return config_for(tmp_path).model_copy(update={"telemetry": part})


async def end_one(live: Live, **fields: Any) -> str:
    key = await run_job(live.services.store, now=time.time(), **fields)
    await finish(live.services.store, key, 3, now=time.time())
    return key.job


async def nothing() -> list[Any]:
    return []


async def until(found: Collector, count: int) -> None:
    async with asyncio.timeout(100):
        while len(found.spans) < count or "remote_jobs" not in found.metrics:
            await asyncio.sleep(0.02)


async def test_spans_and_metrics_reach_a_collector(tmp_path: Path) -> None:
    with collector() as found:
        async with running(config_with(tmp_path, otlp=found.url)) as live:
            job = await end_one(live, traceparent=GIVEN)
            await until(found, 6)
            found.metrics.clear()
            await until(found, 6)
            shown = (await live.get("/metrics")).text
            assert "remote_spans_sent_total 2\n" in shown
    spans = {span.name: span for span in found.spans}
    assert spans.keys() == {"job", "submit", "queue", "dispatch", "run", "upload"}
    assert {span.trace_id.hex() for span in found.spans} == {GIVEN.split("-")[1]}
    assert spans["job"].parent_span_id.hex() == GIVEN.split("-")[2]
    assert spans["run"].span_id.hex() == span_of(job, Part.RUN, 1)
    assert spans["run"].parent_span_id.hex() == span_of(job)
    assert found.metrics["remote_jobs_failed_total"].sum.data_points[0].attributes
    assert spans["submit"].parent_span_id == spans["job"].span_id
    assert found.metrics["remote_spans_sent_total"].sum.data_points


async def test_a_collector_that_is_away_gets_the_spans_later_and_holds_nobody_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with collector() as found:
        found.status = 400
        async with running(config_with(tmp_path, otlp=found.url)) as live:
            first = await end_one(live)
            async with asyncio.timeout(100):
                while found.refused < 2:
                    await asyncio.sleep(0.02)
                assert (await live.get("/queues")).status == 200
                second = await end_one(live)
                found.status = 200
                await until(found, 12)
    assert {span.trace_id.hex() for span in found.spans} == {
        trace_of(job, None).id for job in (first, second)
    }
    said = capsys.readouterr().out
    assert 1 <= said.count("cannot be sent") <= 2, "once for spans, once for metrics"
    assert said.count("is sent again") == said.count("cannot be sent")


async def test_a_batch_that_is_always_refused_goes_in_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time passes in no time: what is waited for is what the loop asked for."""
    waited: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await real(0)

    spans = PendingSpans(store)
    store.on_commit(spans.committed)
    await submitted(store)
    with collector() as found:
        found.status = 400
        (run,) = [
            loop
            for name, loop in loops.exports(
                TelemetryPart(otlp=found.url), nothing, spans
            ).loops.items()
            if name == "otlp spans"
        ]
        monkeypatch.setattr("remote_server.export.loops.asyncio.sleep", sleep)
        task = asyncio.create_task(run())
        async with asyncio.timeout(100):
            while not spans.dropped:
                await real(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert (spans.dropped, spans.sent, len(spans)) == (1, 0, 0)
    assert found.refused >= loops.MOST_TRIES
    tries = waited[1 : loops.MOST_TRIES]
    assert all(1 <= later / before <= 3 for before, later in pairwise(tries))
    assert tries[-1] >= 60


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


async def test_nothing_is_sent_by_default() -> None:
    async def read() -> list[Any]:
        raise AssertionError("nobody asks")

    assert loops.exports(TelemetryPart(), read, None) == loops.Export()


def _no_package(name: str) -> None:
    return None


def _no_package_above(name: str) -> None:
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("missing", [_no_package, _no_package_above])
async def test_a_package_that_is_missing_is_named(
    store: Store, monkeypatch: pytest.MonkeyPatch, missing: Callable[[str], None]
) -> None:
    wanted = TelemetryPart(otlp="http://127.0.0.1:4318")
    monkeypatch.setattr(loops, "find_spec", missing)
    with pytest.raises(ServerError, match=r"pip install 'remote-server\[otlp\]'"):
        loops.exports(wanted, nothing, PendingSpans(store))
