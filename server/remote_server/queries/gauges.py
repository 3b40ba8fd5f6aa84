"""What the server counts while it runs: request times, dispatch times, ended jobs. No I/O."""

from __future__ import annotations

from remote_server.queries.metrics import DISPATCH_BUCKETS, REQUEST_BUCKETS, Counter, Histogram


class Gauges:
    """The instruments that are not read from the database at a scrape."""

    def __init__(self) -> None:
        self.requests = Histogram(
            "remote_http_request_seconds",
            "Time to answer requests, without those that follow something.",
            REQUEST_BUCKETS,
            ("method", "path", "status"),
        )
        self.dispatch = Histogram(
            "remote_dispatch_seconds",
            "Time from submission to the start of the process.",
            DISPATCH_BUCKETS,
        )
        self.ended = Counter(
            "remote_jobs_ended_total",
            "Jobs that ended since the start.",
            ("queue", "end_reason"),
        )

    def render(self) -> str:
        """All of them as text."""
        return self.ended.render() + self.dispatch.render() + self.requests.render()
