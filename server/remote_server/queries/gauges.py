"""What the server measures: counted while it runs, or read from the store when asked for.

Labels are queues, states, reasons and the paths of routes: their number is that of queues, however
many jobs and agents there are. What is no more, a queue or an agent, has no series either.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import remote_server
from remote_protocol.ids import ulid_milliseconds
from remote_protocol.metrics import Family, Sample, single
from remote_protocol.states import AgentState, JobState
from remote_server.disk.reserve import Reserve
from remote_server.domain.change_set import ChangeSet, hears
from remote_server.domain.model import Queue
from remote_server.logs import Logs
from remote_server.queries.fleet import HELD, FleetReader, Member
from remote_server.queries.metrics import (
    COMMIT_BUCKETS,
    DISPATCH_BUCKETS,
    REQUEST_BUCKETS,
    WAIT_BUCKETS,
    Counter,
    Histogram,
    RelayCounters,
)
from remote_server.queries.process import process_families
from remote_server.queries.sources import Sources

_QUEUE = ("queue",)


class Gauges:
    """The instruments that are not read from the database at a scrape."""

    def __init__(self, relays: Iterable[str] = ()) -> None:
        """`relays` are the names of those that the configuration has."""
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
        self.waits = Histogram(
            "remote_queue_wait_seconds",
            "Time from submission to the start of the process, for each queue.",
            WAIT_BUCKETS,
            _QUEUE,
        )
        self.commits = Histogram(
            "remote_commit_seconds",
            "Time of the transactions that changed something, to the end of their commits.",
            COMMIT_BUCKETS,
        )
        self.ended = Counter(
            "remote_jobs_ended_total",
            "Jobs that ended since the start.",
            ("queue", "end_reason"),
        )
        self.webhooks = Counter(
            "remote_webhook_messages_total",
            "Messages of webhooks delivered, put off, failed for good or dropped since the start.",
            ("outcome",),
        )
        self.failed = Counter(
            "remote_jobs_failed_total", "Jobs that failed since the start.", _QUEUE
        )
        self.relayed = RelayCounters(relays)

    def committed(self, changes: ChangeSet) -> None:
        """Measure a commit."""
        self.commits.observe(changes.seconds)

    @hears("end_counts", "webhook_counts", "failures", "started")
    def counted(self, changes: ChangeSet) -> None:
        """Count what a commit changed."""
        for (queue, reason), count in changes.end_counts.items():
            self.ended.add(count, queue, reason)
        for outcome, count in changes.webhook_counts.items():
            self.webhooks.add(count, outcome)
        for queue, count in changes.failures.items():
            self.failed.add(count, queue)
        for job, at, queue in changes.started:
            waited = max(0.0, at - ulid_milliseconds(job) / 1000)
            self.dispatch.observe(waited)
            self.waits.observe(waited, queue)

    def families(self, queues: Collection[str]) -> Iterator[Family]:
        """All of them; of what is counted for each queue, those of these queues."""
        for counted in (self.ended, self.failed, self.waits):
            yield counted.family(queues)
        for measured in (self.dispatch, self.commits, self.requests, self.webhooks):
            yield measured.family()
        yield from self.relayed.families()


@dataclass(frozen=True, slots=True)
class Metrics:
    """All that is measured, and where it is read."""

    gauges: Gauges
    sources: Sources
    logs: Logs
    reserve: Reserve
    fleet: FleetReader
    more: Callable[[], Sequence[Family]] | None = None
    """What another part measures."""

    async def families(self) -> list[Family]:
        """How it is now."""
        store = self.sources.store
        queues = await store.queues()
        counts = await store.counts()
        waiting = [q.name for q in queues if counts.get((q.name, JobState.QUEUED))]
        oldest = {name: await store.oldest(name) for name in waiting}
        members = await self.fleet.members()
        return [
            _about_server(),
            *_of_queues(queues, counts, oldest),
            *_of_agents(members, queues),
            *_of_bytes(self.sources, self.logs, self.reserve),
            *self.gauges.families({queue.name for queue in queues}),
            *(self.more() if self.more is not None else ()),
            *process_families(),
        ]


def _about_server() -> Family:
    version = Sample((remote_server.__version__,), 1)
    return Family("remote_server_info", "gauge", "1, with the version.", ("version",), [version])


def _of_queues(
    queues: Iterable[Queue],
    counts: Mapping[tuple[str, JobState], int],
    oldest: Mapping[str, float | None],
) -> Iterator[Family]:
    now = time.time()
    names = [queue.name for queue in queues]
    jobs = [
        Sample((str(state), queue), count)
        for (queue, state), count in sorted(counts.items())
        if queue in names
    ]
    yield Family("remote_jobs", "gauge", "Jobs.", ("state", "queue"), jobs)
    depth = [Sample((name,), counts.get((name, JobState.QUEUED), 0)) for name in names]
    yield Family("remote_queue_depth", "gauge", "Jobs that wait.", _QUEUE, depth)
    ages = [
        Sample((name,), 0.0 if (at := oldest.get(name)) is None else max(0.0, now - at))
        for name in names
    ]
    words = "Age of the oldest job that waits; 0 when none does."
    yield Family("remote_queue_oldest_seconds", "gauge", words, _QUEUE, ages)
    paused = [Sample((queue.name,), int(queue.paused)) for queue in queues]
    yield Family("remote_queue_paused", "gauge", "1 while jobs wait by order.", _QUEUE, paused)


def _of_agents(members: Collection[Member], queues: Iterable[Queue]) -> Iterator[Family]:
    states = Tally(member.state for member in members)
    samples = [Sample((str(state),), states[state]) for state in AgentState]
    yield Family("remote_agents", "gauge", "Registered agents.", ("state",), samples)
    conditions = Tally(member.condition for member in members)
    held = [Sample((name,), conditions[name]) for name in sorted(HELD)]
    words = "Agents that are online and get no jobs; warning: they say themselves that they cannot."
    yield Family("remote_agents_held", "gauge", words, ("condition",), held)
    taking = Tally(
        queue for member in members if member.condition == "online" for queue in member.row.queues
    )
    serving = [Sample((queue.name,), taking[queue.name]) for queue in queues]
    words = "Agents of the queue that are online and take jobs."
    yield Family("remote_queue_agents", "gauge", words, _QUEUE, serving)


def _of_bytes(sources: Sources, logs: Logs, reserve: Reserve) -> Iterator[Family]:
    since = "since the start."
    for name, words, count in (
        ("remote_log_bytes_total", f"Log bytes received from agents {since}", logs.received),
        (
            "remote_input_bytes_total",
            f"Bytes of jobs' inputs received {since}",
            sources.inputs.received,
        ),
        (
            "remote_logs_incomplete_total",
            f"Attempts settled without their whole log {since}",
            logs.torn,
        ),
        ("remote_logs_packed_total", f"Logs moved to the archive {since}", logs.packed),
        (
            "remote_log_archive_failures_total",
            f"Times that a log could not be moved to the archive {since}",
            logs.pack_failures,
        ),
        ("remote_log_copies_total", f"Jobs whose logs were copied elsewhere {since}", logs.copied),
        (
            "remote_log_copy_failures_total",
            f"Times that a log could not be copied {since}",
            logs.copy_failures,
        ),
    ):
        yield single(name, "counter", words, count)
    words = "Logs of ended attempts that wait to be moved to the archive."
    yield single("remote_logs_unpacked", "gauge", words, logs.backlog)
    words = "Free bytes of the disk with the logs."
    yield single("remote_disk_free_bytes", "gauge", words, reserve.free)
    words = "1 while the disk is below its reserve."
    yield single("remote_disk_low", "gauge", words, int(bool(reserve.lack())))
