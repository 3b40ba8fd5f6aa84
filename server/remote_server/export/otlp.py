"""Spans and metrics as OpenTelemetry's own exporters send them: protobuf over HTTP.

The only module that knows the packages of the extra `otlp`; it is imported when `[telemetry] otlp`
is set, and its calls block: they belong in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

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

_TIMEOUT: Final = 10.0
_UNIT: Final = 1e9
_CUMULATIVE: Final = export.AggregationTemporality.CUMULATIVE


class Otlp:
    """Sends to one collector."""

    def __init__(self, url: str, version: str, begun: float) -> None:
        """`begun`: since when is counted (Unix seconds)."""
        base = url.rstrip("/")
        self._spans = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=_TIMEOUT)
        self._metrics = OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=_TIMEOUT)
        known = {"service.name": "remote-server", "service.version": version}
        self._resource = Resource(known)
        self._scope = InstrumentationScope("remote_server", version)
        self._begun = int(begun * _UNIT)

    def send_spans(self, traces: Iterable[tuple[Trace, Sequence[Span]]]) -> bool:
        """Whether they have arrived."""
        spans = [self._span(trace, span) for trace, found in traces for span in found]
        return self._spans.export(spans) is SpanExportResult.SUCCESS

    def send_metrics(self, families: Iterable[Family], now: float) -> bool:
        """Whether they have arrived."""
        metrics = [self._metric(family, int(now * _UNIT)) for family in families]
        scope = export.ScopeMetrics(self._scope, metrics, "")
        data = export.MetricsData([export.ResourceMetrics(self._resource, [scope], "")])
        return self._metrics.export(data) is export.MetricExportResult.SUCCESS

    def close(self) -> None:
        """Let go of the connections."""
        self._spans.shutdown()  # type: ignore[no-untyped-call] # so in that package
        self._metrics.shutdown()

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
            min=0.0,
            max=0.0,
        )
