"""Spans and metrics as protobuf, read by OpenTelemetry's own messages."""

from __future__ import annotations

import socket

import pytest

from remote_protocol.metrics import Distribution, Family, Sample, single
from remote_protocol.trace import Trace
from remote_server.export import otlp as otlp_module
from remote_server.export.otlp import OtlpMetrics, OtlpSpans
from remote_server.export.spans import Span
from tests.support.collector import collector

TRACE = Trace("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "01")


def test_spans_arrive_as_they_are() -> None:
    whole = Span("job", "00000000000000aa", TRACE.parent, 1.5, 3.0, "exit code 3", {"job.id": "x"})
    part = Span("run", "00000000000000ab", whole.id, 2.0, 2.5, "", {"job.attempt": 1})
    with collector() as found:
        otlp = OtlpSpans(found.url, "1.2")
        assert otlp.send([(TRACE, [whole, part])]) == ""
        otlp.close()
        first, second = found.spans
    assert first.trace_id.hex() == second.trace_id.hex() == TRACE.id
    assert (first.span_id.hex(), first.parent_span_id.hex()) == (whole.id, TRACE.parent)
    assert second.parent_span_id.hex() == whole.id
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (1_500_000_000, 3_000_000_000)
    assert (first.status.code, first.status.message) == (2, "exit code 3")
    assert second.status.code == 0
    assert first.attributes[0].key == "job.id" and first.attributes[0].value.string_value == "x"


def test_metrics_arrive_as_they_are() -> None:
    spread = Distribution((0.1, 1), (2, 1, 1), 7.65)
    given = [
        single("jobs_total", "counter", "Jobs.", 3),
        Family("depth", "gauge", "Waiting.", ("queue",), [Sample(("a",), 2.5)]),
        Family("wait_seconds", "histogram", "Waits.", ("queue",), [Sample(("a",), spread)]),
    ]
    with collector() as found:
        otlp = OtlpMetrics(found.url + "/", "1.2", 1.0)
        assert otlp.send(given, 5.0) == ""
        otlp.close()
        metrics = found.metrics
    counted = metrics["jobs_total"].sum
    assert counted.is_monotonic and counted.aggregation_temporality == 2
    (point,) = counted.data_points
    assert (point.as_int or point.as_double) == 3
    assert (point.start_time_unix_nano, point.time_unix_nano) == (1_000_000_000, 5_000_000_000)
    (gauge,) = metrics["depth"].gauge.data_points
    assert gauge.as_double == 2.5 and gauge.attributes[0].value.string_value == "a"
    (waits,) = metrics["wait_seconds"].histogram.data_points
    assert (waits.count, waits.sum) == (4, 7.65)
    assert list(waits.bucket_counts) == [2, 1, 1] and list(waits.explicit_bounds) == [0.1, 1]
    assert not waits.HasField("min") and not waits.HasField("max"), "nobody remembers them"
    assert metrics["wait_seconds"].unit == "s"


def test_a_collector_that_refuses_is_told_apart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with collector() as found:
        found.status = 400
        otlp = OtlpMetrics(found.url, "1.2", 0.0)
        given = [single("x", "gauge", "X.", 1)]
        assert "400" in otlp.send(given, 1.0)
        assert found.refused == 1
        found.status = 200
        assert otlp.send(given, 1.0) == ""
        otlp.close()
    assert not caplog.records, "the packages write nothing themselves"


def test_a_collector_that_is_away_is_named_with_the_cause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(otlp_module, "TIMEOUT", 2.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and it does not listen
        otlp = OtlpSpans(f"http://127.0.0.1:{taken.getsockname()[1]}", "1.2")
        why = otlp.send([(TRACE, [])])
        # Where this process stood still, the time was over before the second try.
        assert "refused" in why or "timeout" in why
    otlp.close()
    assert not caplog.records


def test_the_header_that_a_collector_wants_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=hunter2")
    with collector() as found:
        otlp = OtlpMetrics(found.url, "1.2", 0.0)
        assert otlp.send([single("x", "gauge", "X.", 1)], 1.0) == ""
        otlp.close()
    assert found.headers["api-key"] == "hunter2"
