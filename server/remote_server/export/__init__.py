"""Sends out what is measured, to those who do not scrape: StatsD, OTLP. Off by default; touches the
network towards the addresses of `[telemetry]` only, and nothing waits for it."""

from remote_server.export.loops import Export, exports
from remote_server.export.traces import PendingSpans

__all__ = ["Export", "PendingSpans", "exports"]
