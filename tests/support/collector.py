"""A collector of OpenTelemetry's data: protobuf and JSON over HTTP, on loopback."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from google.protobuf import json_format  # type: ignore[import-untyped] # it has no types
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """What came. With `status` 400 it refuses."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.metrics: dict[str, Metric] = {}
        self.about: dict[str, str] = {}
        """Attributes of the resource that the metrics are of."""
        self.status = 200
        self.refused = 0
        self.headers: dict[str, str] = {}
        """Of the last request, in lower case."""
        self.url = ""

    def take(self, path: str, body: bytes, as_json: bool = False) -> None:
        if path == "/v1/traces":
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        else:
            assert path == "/v1/metrics"
            request = ExportMetricsServiceRequest()
            json_format.Parse(body, request) if as_json else request.ParseFromString(body)
            for measured in request.resource_metrics:
                self.about |= {
                    pair.key: pair.value.string_value for pair in measured.resource.attributes
                }
                for part in measured.scope_metrics:
                    self.metrics |= {metric.name: metric for metric in part.metrics}


@contextmanager
def collector() -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            as_json = self.headers["Content-Type"] == "application/json"
            found.headers = {name.lower(): value for name, value in self.headers.items()}
            status = found.status
            if status == 200:
                found.take(self.path, body, as_json)
            else:
                found.refused += 1
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
