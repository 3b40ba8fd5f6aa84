"""What the server measures: counted while it runs, or read from the store when asked for."""

from __future__ import annotations

import time
from collections import Counter as Tally

from remote_protocol.ids import ulid_milliseconds
from remote_protocol.states import AgentState, JobState
from remote_server.disk.reserve import Reserve
from remote_server.domain.change_set import ChangeSet
from remote_server.logs import Logs
from remote_server.queries.metrics import (
    DISPATCH_BUCKETS,
    REQUEST_BUCKETS,
    Counter,
    Histogram,
    family,
)
from remote_server.queries.sources import Sources


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

    def committed(self, changes: ChangeSet) -> None:
        """Count what a commit changed."""
        for (queue, reason), count in changes.end_counts.items():
            self.ended.add(count, queue, reason)
        for job, at in changes.started:
            self.dispatch.observe(max(0.0, at - ulid_milliseconds(job) / 1000))

    def render(self) -> str:
        """All of them as text."""
        return self.ended.render() + self.dispatch.render() + self.requests.render()


async def scrape(sources: Sources, logs: Logs, reserve: Reserve) -> str:
    """What is read when somebody asks, as text."""
    store = sources.store
    now = time.time()
    counts = await store.counts()
    queues = [queue.name for queue in await store.queues()]
    oldest = {name: await store.oldest(name) for name in queues}
    agents = Tally(sources.agents.state_of(agent.name) for agent in await store.agents())
    jobs = sorted(((str(state), queue), n) for (queue, state), n in counts.items())
    depth = [((name,), counts.get((name, JobState.QUEUED), 0)) for name in queues]
    ages = [((name,), 0.0 if at is None else max(0.0, now - at)) for name, at in oldest.items()]
    states = [((str(state),), agents[state]) for state in AgentState]
    received = [((), logs.received)]
    low = [((), float(bool(reserve.lack())))]
    queue = ("queue",)
    return "".join(
        (
            family("remote_jobs", "gauge", "Jobs.", ("state", "queue"), jobs),
            family("remote_queue_depth", "gauge", "Jobs that wait.", queue, depth),
            family(
                "remote_queue_oldest_seconds",
                "gauge",
                "Age of the oldest job that waits; 0 when none does.",
                queue,
                ages,
            ),
            family("remote_agents", "gauge", "Registered agents.", ("state",), states),
            family(
                "remote_log_bytes_total",
                "counter",
                "Log bytes received from agents since the start.",
                (),
                received,
            ),
            family(
                "remote_input_bytes_total",
                "counter",
                "Bytes of jobs' inputs received since the start.",
                (),
                [((), sources.inputs.received)],
            ),
            family(
                "remote_disk_free_bytes",
                "gauge",
                "Free bytes of the disk with the logs.",
                (),
                [((), reserve.free)],
            ),
            family("remote_disk_low", "gauge", "1 while the disk is below its reserve.", (), low),
            family(
                "remote_logs_incomplete_total",
                "counter",
                "Attempts settled without their whole log since the start.",
                (),
                [((), logs.torn)],
            ),
            family(
                "remote_logs_packed_total",
                "counter",
                "Logs moved to the archive since the start.",
                (),
                [((), logs.packed)],
            ),
            family(
                "remote_log_archive_failures_total",
                "counter",
                "Times that a log could not be moved to the archive since the start.",
                (),
                [((), logs.pack_failures)],
            ),
            family(
                "remote_logs_unpacked",
                "gauge",
                "Logs of ended attempts that wait to be moved to the archive.",
                (),
                [((), logs.backlog)],
            ),
        )
    )
