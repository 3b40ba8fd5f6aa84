"""Rules of webhooks, and when a message is tried again."""

from __future__ import annotations

from itertools import pairwise

import pytest

from remote_protocol.api.webhooks import DeliveryState, WebhookEvent, WebhookRule
from remote_protocol.ids import is_ulid
from remote_protocol.states import EndReason, JobState
from remote_server.domain.webhooks import (
    LONGEST_PAUSE,
    TRY_FOR,
    Answer,
    Delivery,
    Told,
    Webhook,
    delivery_id,
    judge,
    wants,
    watch_states,
)
from tests.support.stored import NOW

LOST = Told(
    WebhookEvent.JOB_ENDED, "1", ("berlin",), "a", "backup-1", JobState.FAILED, EndReason.LOST
)
OFFLINE = Told(WebhookEvent.AGENT_OFFLINE, "web-7", ("berlin", "default"), "web-7")
UNSERVED = Told(WebhookEvent.QUEUE_UNSERVED, "berlin", ("berlin",))


def rule(*events: str, **fields: object) -> WebhookRule:
    names = list(events) or [event.value for event in WebhookEvent]
    return WebhookRule.model_validate({"events": names, **fields})


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, {LOST, OFFLINE, UNSERVED}),
        ({"queues": ["berlin"]}, {LOST, OFFLINE, UNSERVED}),
        ({"queues": ["default"]}, {OFFLINE}),
        ({"job_name": "backup-?"}, {LOST, OFFLINE, UNSERVED}),
        ({"job_name": "backup"}, {OFFLINE, UNSERVED}),
        ({"agent_name": "web-*"}, {OFFLINE, UNSERVED}),
        ({"states": ["failed"]}, {LOST, OFFLINE, UNSERVED}),
        ({"states": ["succeeded"]}, {OFFLINE, UNSERVED}),
        ({"end_reasons": ["timeout", "lost"]}, {LOST, OFFLINE, UNSERVED}),
        ({"end_reasons": ["timeout"]}, {OFFLINE, UNSERVED}),
    ],
)
def test_what_a_rule_asks_for(fields: dict[str, object], told: set[Told]) -> None:
    asked = rule(**fields)
    assert {one for one in (LOST, OFFLINE, UNSERVED) if wants(asked, one)} == told


def test_only_events_that_are_named() -> None:
    asked = rule("agent.offline")
    assert [wants(asked, one) for one in (LOST, OFFLINE, UNSERVED)] == [False, True, False]
    assert not wants(rule(job_name="*"), LOST._replace(job_name=None))


def test_states_are_watched_only_for_those_who_ask() -> None:
    def hook(*events: str) -> Webhook:
        return Webhook("1", "a", "http://x", rule(*events), NOW, NOW, 0, "k")

    assert not watch_states([hook("job.ended")])
    assert watch_states([hook("job.ended"), hook("queue.served")])


def message(attempts: int = 0, made: float = NOW) -> Delivery:
    return Delivery(
        "1", "h", "job.ended", "j", "{}", made, give_up_at=made + TRY_FOR, attempts=attempts
    )


def test_an_id_is_made_of_what_is_told_and_to_whom() -> None:
    one = delivery_id("h", "job.ended 1", NOW)
    assert is_ulid(one) and one == delivery_id("h", "job.ended 1", NOW)
    assert len({one, delivery_id("i", "job.ended 1", NOW), delivery_id("h", "x", NOW)}) == 3


def test_success_is_delivered() -> None:
    assert judge(message(), Answer(0.1, 200), NOW, 0.5) == (DeliveryState.DELIVERED, None, "")


def test_it_is_tried_for_a_day_with_longer_and_longer_pauses() -> None:
    at, tries, pauses = NOW, 0, []
    while True:
        result = judge(message(tries), Answer(0.1, 500, "no"), at, 0.5)
        tries += 1
        if result.next_at is None:
            break
        pauses.append(result.next_at - at)
        at = result.next_at
    assert result.state is DeliveryState.FAILED
    assert pauses[:4] == [5, 10, 20, 40]
    assert all(after >= before for before, after in pairwise(pauses))
    assert max(pauses) == LONGEST_PAUSE
    assert TRY_FOR - LONGEST_PAUSE <= at - NOW <= TRY_FOR


def test_jitter_parts_those_that_failed_together() -> None:
    first = judge(message(3), Answer(0.1, None, "no"), NOW, 0.0).next_at
    last = judge(message(3), Answer(0.1, None, "no"), NOW, 1.0).next_at
    assert (first, last) == (NOW + 30, NOW + 50)


def test_a_receiver_may_ask_for_a_pause_within_bounds() -> None:
    asked = judge(message(), Answer(0.1, 429, "no", 600.0), NOW, 0.5)
    assert asked.next_at == NOW + 600
    endless = judge(message(), Answer(0.1, 503, "no", 1e8), NOW, 0.5)
    assert endless.next_at == NOW + LONGEST_PAUSE
    other = judge(message(), Answer(0.1, 500, "no", 600.0), NOW, 0.5)
    assert other.next_at == NOW + 5


def test_one_that_is_gone_is_asked_no_more() -> None:
    result = judge(message(), Answer(0.1, 410, "no"), NOW, 0.5)
    assert result.state is DeliveryState.FAILED and "410 Gone" in result.disable
