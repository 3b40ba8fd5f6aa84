"""Metrics, by Airflow's own back-ends of OpenTelemetry and StatsD to sockets of this process."""

from __future__ import annotations

import atexit
import logging
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import FakeServer, run, told, until, workload

PREFIX = "airflow.remote_executor."


class Collector:
    """The newest values of each metric: (value, attributes)."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[Any, dict[str, str]]] = {}
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                collector.take(self.rfile.read(int(self.headers["Content-Length"])), self.headers)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, body: bytes, headers: Any) -> None:
        import gzip

        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

        if headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        found = metrics_service_pb2.ExportMetricsServiceRequest.FromString(body)
        for resource in found.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    self._keep(metric)

    def _keep(self, metric: Any) -> None:
        point = getattr(metric, metric.WhichOneof("data")).data_points[-1]
        value = point.count if hasattr(point, "count") else _number(point)
        tags = {tag.key: tag.value.string_value for tag in point.attributes}
        self.values[metric.name.removeprefix(PREFIX)] = (value, tags)

    def value(self, name: str) -> Any:
        return self.values.get(name, (None, {}))[0]


def _number(point: Any) -> float:
    return float(getattr(point, point.WhichOneof("value")))


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    from airflow._shared.observability.metrics import otel_logger
    from airflow.observability import stats
    from opentelemetry import metrics

    found = Collector()
    monkeypatch.setenv("AIRFLOW__METRICS__OTEL_ON", "True")
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "100")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    address = f"http://127.0.0.1:{found.http.server_port}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", f"{address}/v1/metrics")
    yield found
    metrics.get_meter_provider().shutdown()  # type: ignore[attr-defined]
    # Or it complains at the end of this process that it cannot.
    atexit.unregister(otel_logger.flush_otel_metrics)
    stats.initialize(factory=no_stats(), export_legacy_names=False)
    found.http.shutdown()
    found.http.server_close()


def no_stats() -> Any:
    from airflow._shared.observability.metrics.base_stats_logger import NoStatsLogger

    return NoStatsLogger


def test_all_are_told_by_their_names(collector: Collector, server: FakeServer) -> None:
    from remote_airflow.executor import RemoteExecutor

    executor = RemoteExecutor(parallelism=8)
    executor.start()
    try:
        server.away = True
        good, bad = workload("good"), workload("bad", queue="nowhere")
        wrong = workload("wrong", executor_config={"remote": {"colour": "red"}})
        dispatch = run(executor, good, bad, wrong)[0]
        seen(executor, collector, "outbox", 2)
        seen(executor, collector, "refused", 1)
        until(lambda: _beat(executor) and (collector.value("silence") or 0) > 0.3, "it is away")
        server.away = False
        seen(executor, collector, "followed", 1)
        seen(executor, collector, "outbox", 0)
        seen(executor, collector, "refused", 2)
        assert collector.value("silence") is not None
        server.move(dispatch, "running")
        # Told of a task that is seen to run, which one that ends at once may not be.
        seen(executor, collector, "queued_to_running", 1)
        server.move(dispatch, "succeeded")
        told(executor, good.ti.key, "success")
        seen(executor, collector, "followed", 0)
        assert collector.values["outbox"][1] == {}
    finally:
        executor.terminate()


def test_a_team_has_its_name_as_a_tag(
    collector: Collector, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from remote_airflow.executor import RemoteExecutor

    monkeypatch.setenv("AIRFLOW__BLUE___REMOTE__URL", server.url)
    monkeypatch.setenv("AIRFLOW__BLUE___REMOTE__TOKEN", "rpt_blue")
    blue = RemoteExecutor(parallelism=1, team_name="blue")
    seen(blue, collector, "outbox", 0)
    assert collector.values["outbox"][1] == {"team_name": "blue"}
    assert "silence" not in collector.values, "it was not started"


def test_a_back_end_that_fails_stops_nothing_and_is_said_once(
    executor: Any, server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow.observability import stats

    class Broken(no_stats()):  # type: ignore[misc]
        def gauge(self, stat: str, *_: Any, **__: Any) -> None:
            if stat.startswith("remote_executor."):
                raise OSError("no route to the collector")

    stats.initialize(factory=Broken, export_legacy_names=False)
    try:
        with caplog.at_level(logging.WARNING, "remote_airflow.metrics"):
            work = workload("t")
            (dispatch,) = run(executor, work)
            until(lambda: dispatch in server.keys, "it is submitted")
            server.move(dispatch, "succeeded")
            told(executor, work.ti.key, "success")
        said = [one.message for one in caplog.records if one.name == "remote_airflow.metrics"]
        assert len(said) == 1 and said[0].endswith("no route to the collector")
    finally:
        stats.initialize(factory=no_stats(), export_legacy_names=False)


class Datagrams:
    """A StatsD server: a UDP socket, and what has come, `name:value|kind`."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)
        self.port = self.socket.getsockname()[1]
        self.lines: list[str] = []

    def ours(self) -> dict[str, tuple[str, str]]:
        """The newest value and the kind of each metric of the executor."""
        with suppress(BlockingIOError):
            while True:
                self.lines += self.socket.recv(65536).decode().splitlines()
        found = [line.partition(":") for line in self.lines if line.startswith(PREFIX)]
        values = {name.removeprefix(PREFIX): rest.partition("|") for name, _, rest in found}
        return {name: (value, kind) for name, (value, _, kind) in values.items()}


@pytest.fixture
def datagrams(monkeypatch: pytest.MonkeyPatch) -> Iterator[Datagrams]:
    from airflow.observability import stats

    found = Datagrams()
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_HOST", "127.0.0.1")
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(found.port))
    yield found
    stats.initialize(factory=no_stats(), export_legacy_names=False)
    found.socket.close()


def documented() -> dict[str, str]:
    """Names and kinds, as the guide lists them."""
    guide = Path(__file__).resolve().parents[2] / "docs" / "airflow.md"
    return dict(re.findall(r"^\| `remote_executor\.(\w+)` \| (\w+) \|", guide.read_text(), re.M))


def test_statsd_gets_the_names_of_the_guide(datagrams: Datagrams, server: FakeServer) -> None:
    from remote_airflow.executor import RemoteExecutor

    executor = RemoteExecutor(parallelism=8)
    executor.start()
    try:
        good, bad = workload("good"), workload("bad", queue="nowhere")
        dispatch, _ = run(executor, good, bad)
        until(lambda: dispatch in server.keys, "it is submitted")
        server.move(dispatch, "running")

        def told_all() -> bool:
            executor.heartbeat()
            return datagrams.ours().keys() >= documented().keys()

        until(told_all, f"all are told: {datagrams.ours()}")
        kinds = {"g": "gauge", "c": "counter", "ms": "timer"}
        found = datagrams.ours()
        assert {name: kinds[kind] for name, (_, kind) in found.items()} == documented()
        assert found["refused"][0] == "1" and found["followed"][0] == "1"
        assert 0 <= float(found["queued_to_running"][0]) < 60_000, "milliseconds"
    finally:
        executor.terminate()


def _beat(executor: Any) -> bool:
    executor.heartbeat()
    return True


def seen(executor: Any, collector: Collector, name: str, value: float) -> None:
    until(
        lambda: _beat(executor) and collector.value(name) == value,
        f"{name} is {value}: {collector.values}",
    )
