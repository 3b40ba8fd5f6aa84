"""What is counted at each commit, and of which queues it is shown."""

from __future__ import annotations

import pytest

from remote_protocol.ids import make_ulid
from remote_protocol.metrics import Distribution
from remote_server.bus import LocalBus
from remote_server.domain.change_set import ChangeSet
from remote_server.queries.gauges import Gauges

JOB = make_ulid(1_000_000, bytes(10))


def counted(gauges: Gauges, *queues: str) -> dict[str, dict[tuple[str, ...], object]]:
    found: dict[str, dict[tuple[str, ...], object]] = {}
    for family in gauges.families(queues):
        values = {sample.labels: sample.value for sample in family.samples}
        found[family.name] = {
            labels: (sum(value.counts), value.total) if isinstance(value, Distribution) else value
            for labels, value in values.items()
        }
    return found


def test_a_commit_is_counted() -> None:
    gauges = Gauges()
    gauges.requests.observe(0.001, "GET", "/x", "200")
    bus = LocalBus()
    bus.subscribe(gauges.committed)
    bus.subscribe(gauges.counted)
    bus.publish(ChangeSet(end_counts={("q", "exit"): 2}, failures={"q": 1}, seconds=0.001))
    bus.publish(ChangeSet(end_counts={("q", "exit"): 1}, seconds=0.001))
    bus.publish(ChangeSet(webhook_counts={"delivered": 2}, seconds=0.001))
    bus.publish(ChangeSet(started=[(JOB, 1002.5, "q"), (JOB, 999.0, "r")], seconds=0.001))
    bus.publish(ChangeSet(jobs={JOB}, seconds=0.004))
    assert counted(gauges, "q", "r") == {
        "remote_jobs_ended_total": {("q", "exit"): 3},
        "remote_jobs_failed_total": {("q",): 1},
        # A clock that went back makes no negative time.
        "remote_queue_wait_seconds": {("q",): (1, 2.5), ("r",): (1, 0.0)},
        "remote_dispatch_seconds": {(): (2, 2.5)},
        "remote_commit_seconds": {(): (5, pytest.approx(0.008))},
        "remote_http_request_seconds": {("GET", "/x", "200"): (1, 0.001)},
        "remote_webhook_messages_total": {("delivered",): 2},
        "remote_relay_requests_total": {},
        "remote_relay_bytes_total": {},
        "remote_relay_failures_total": {},
    }


def test_a_queue_that_is_gone_has_no_series() -> None:
    gauges = Gauges()
    gauges.counted(
        ChangeSet(end_counts={("q", "exit"): 1, ("old", "exit"): 1}, failures={"old": 1})
    )
    found = counted(gauges, "q")
    assert found["remote_jobs_ended_total"] == {("q", "exit"): 1}
    assert found["remote_jobs_failed_total"] == {}
