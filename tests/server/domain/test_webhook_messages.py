"""Messages as the JSON that is sent."""

from __future__ import annotations

from types import SimpleNamespace

from remote_protocol.api.webhooks import (
    MESSAGE,
    AgentChanged,
    JobEnded,
    QueueChanged,
    WebhookEvent,
    WebhookTest,
)
from remote_protocol.ids import make_ulid
from remote_server.domain.demand import demand_of, demand_text
from remote_server.domain.webhook_messages import of_agent, of_job, of_queue, of_test
from tests.support.stored import NOW, spec

ID = make_ulid(1, bytes(10))


def test_a_job() -> None:
    row = SimpleNamespace(
        id=ID, name="backup", queue="berlin", state="failed", end_reason="lost", end_detail=None,
        demand=demand_text(demand_of(spec(queue="berlin", labels={"disk": "ssd"}))),
        exit_code=None, attempt=2, agent="a", submitted_by=f"{ID} ci server", created_at=NOW,
        started_at=None, ended_at=NOW + 1, at=NOW + 1, seq=7,
    )  # fmt: skip
    draft = of_job(row)
    assert draft.seq == 7 and draft.told.queues == ("berlin",)
    read = MESSAGE.validate_json(draft.body(ID))
    assert isinstance(read, JobEnded)
    assert read.id == ID and read.timestamp.timestamp() == NOW + 1
    job = read.data
    assert (job.labels, job.state, job.end_reason) == ({"disk": "ssd"}, "failed", "lost")
    assert (job.attempts, job.submitted_by, job.started_at) == (2, "ci server", None)


def test_agents_and_queues() -> None:
    offline = MESSAGE.validate_json(of_agent("a", ["x"], False, NOW - 60, NOW).body(ID))
    assert isinstance(offline, AgentChanged)
    assert (offline.type, offline.data.name, offline.data.queues) == ("agent.offline", "a", ["x"])
    assert of_agent("a", [], True, None, NOW).told.event == "agent.online"
    unserved = MESSAGE.validate_json(of_queue("x", False, NOW).body(ID))
    assert isinstance(unserved, QueueChanged)
    assert unserved.type is WebhookEvent.QUEUE_UNSERVED
    assert of_queue("x", True, NOW).told.event == "queue.served"


def test_a_test() -> None:
    read = MESSAGE.validate_json(of_test(ID, "alarm", "first-admin", NOW))
    assert isinstance(read, WebhookTest)
    assert (read.data.webhook, read.data.requested_by) == ("alarm", "first-admin")
