"""Spans and metrics as OpenTelemetry's own exporters send them: protobuf over HTTP.

The only module that knows the packages of the extra `otlp`; it is imported when `[telemetry] otlp`
is set, and its calls block: they belong in a thread.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final, cast

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import export
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from remote_protocol.metrics import Distribution, Family, Sample
from remote_protocol.trace import Trace
from remote_server.export.spans import Span

TIMEOUT: Final = 5.0
"""Seconds for one call, tries of the packages' own included."""
_LONGEST_REASON: Final = 300
_UNIT: Final = 1e9
_CUMULATIVE: Final = export.AggregationTemporality.CUMULATIVE


class _Complaints(logging.Handler):
    """Keeps what an exporter logs instead of having it written: it says nowhere else why it failed,
    and of a collector that is away it would say so again and again."""

    def __init__(self, exporter: type) -> None:
        super().__init__()
        self._first = ""
        logger = logging.getLogger(exporter.__module__)
        logger.handlers, logger.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        self._first = self._first or record.getMessage()[:_LONGEST_REASON]

    def why(self) -> str:
        """The reason of a failure: what was said first, since then."""
        said, self._first = self._first, ""
        return said or "the collector does not take it"


class OtlpSpans:
    """Sends spans to one collector."""

    def __init__(self, url: str, version: str) -> None:
        self._complaints = _Complaints(OTLPSpanExporter)
        endpoint = f"{url.rstrip('/')}/v1/traces"
        self._exporter = OTLPSpanExporter(endpoint=endpoint, timeout=TIMEOUT)
        self._resource, self._scope = _about(version)

    def send(self, traces: Iterable[tuple[Trace, Sequence[Span]]]) -> str:
        """Why they have not arrived; empty: they have."""
        spans = [self._span(trace, span) for trace, found in traces for span in found]
        sent = self._exporter.export(spans) is SpanExportResult.SUCCESS
        return "" if sent else self._complaints.why()

    def close(self) -> None:
        """End what waits for its next try, and let go of the connection."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call] # so in that package

    def _span(self, trace: Trace, span: Span) -> ReadableSpan:
        def context(name: str, remote: bool = False) -> SpanContext:
            flags = TraceFlags(int(trace.flags, 16))
            return SpanContext(int(trace.id, 16), int(name, 16), remote, flags)

        failed = Status(StatusCode.ERROR, span.failed) if span.failed else Status()
        return ReadableSpan(
            name=span.name,
            context=context(span.id),
            parent=context(span.parent, span.parent == trace.parent) if span.parent else None,
            resource=self._resource,
            attributes=span.attributes,
            kind=SpanKind.INTERNAL,
            status=failed,
            start_time=int(span.begun * _UNIT),
            end_time=int(span.ended * _UNIT),
            instrumentation_scope=self._scope,
        )


class OtlpMetrics:
    """Sends metrics to one collector."""

    def __init__(self, url: str, version: str, begun: float) -> None:
        """`begun`: since when is counted (Unix seconds)."""
        self._complaints = _Complaints(OTLPMetricExporter)
        endpoint = f"{url.rstrip('/')}/v1/metrics"
        self._exporter = OTLPMetricExporter(endpoint=endpoint, timeout=TIMEOUT)
        self._resource, self._scope = _about(version)
        self._begun = int(begun * _UNIT)

    def send(self, families: Iterable[Family], now: float) -> str:
        """Why they have not arrived; empty: they have."""
        metrics = [self._metric(family, int(now * _UNIT)) for family in families]
        scope = export.ScopeMetrics(self._scope, metrics, "")
        data = export.MetricsData([export.ResourceMetrics(self._resource, [scope], "")])
        sent = self._exporter.export(data) is export.MetricExportResult.SUCCESS
        return "" if sent else self._complaints.why()

    def close(self) -> None:
        """End what waits for its next try, and let go of the connection."""
        self._exporter.shutdown()

    def _metric(self, family: Family, now: int) -> export.Metric:
        unit = "s" if family.name.endswith("_seconds") else "By" if "_bytes" in family.name else "1"
        data: export.Gauge | export.Sum | export.Histogram
        if family.kind == "histogram":
            spread = [self._spread(family, sample, now) for sample in family.samples]
            data = export.Histogram(spread, _CUMULATIVE)
        else:
            points = [self._point(family, sample, now) for sample in family.samples]
            counted = family.kind == "counter"
            data = export.Sum(points, _CUMULATIVE, True) if counted else export.Gauge(points)
        return export.Metric(family.name, family.help, unit, data)

    def _point(self, family: Family, sample: Sample, now: int) -> export.NumberDataPoint:
        assert not isinstance(sample.value, Distribution)
        labels = dict(zip(family.labels, sample.labels, strict=True))
        return export.NumberDataPoint(labels, self._begun, now, sample.value)

    def _spread(self, family: Family, sample: Sample, now: int) -> export.HistogramDataPoint:
        value = sample.value
        assert isinstance(value, Distribution)
        return export.HistogramDataPoint(
            attributes=dict(zip(family.labels, sample.labels, strict=True)),
            start_time_unix_nano=self._begun,
            time_unix_nano=now,
            count=sum(value.counts),
            sum=value.total,
            bucket_counts=value.counts,
            explicit_bounds=value.bounds,
            # Nobody remembers them, and the protocol has them as optional.
            min=cast(float, None),
            max=cast(float, None),
        )


def _about(version: str) -> tuple[Resource, InstrumentationScope]:
    known = {"service.name": "remote-server", "service.version": version}
    return Resource(known), InstrumentationScope("remote_server", version)
