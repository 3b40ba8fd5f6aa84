"""Messages of webhooks on a real database: results, replay, retention."""

from __future__ import annotations

import pytest

from remote_protocol.api.webhooks import DeliveryState, WebhookChange
from remote_server.domain.webhooks import Answer, Delivery, Result
from remote_server.errors import Conflict, NotFound
from remote_server.store import Store
from remote_server.store.deliveries import DISABLED
from tests.server.store.test_outbox import hook
from tests.support.stored import NOW

DAY = 86400.0
FAILED = Answer(0.5, 500, "the receiver answered 500")
AGAIN = Result(DeliveryState.PENDING, NOW + 5)


async def record(store: Store, one: Delivery, answer: Answer, result: Result, now: float) -> str:
    return await store.record_attempt(one, answer, result, now, 5 * DAY)


async def test_results_are_kept(store: Store) -> None:
    made = await hook(store)
    one = await store.put_test("a", NOW)
    assert await store.count_waiting(made.id, 10) == 1
    assert await record(store, one, FAILED, AGAIN, NOW + 1) == ""
    (found,) = await store.waiting_deliveries(made.id, 10)
    assert (found.attempts, found.next_at, found.status) == (1, NOW + 5, 500)
    assert (found.error, found.seconds, found.last_at) == (FAILED.error, 0.5, NOW + 1)
    assert (await store.webhook("a")).failing_since == NOW + 1
    done = Result(DeliveryState.DELIVERED)
    assert await record(store, found, Answer(0.1, 200), done, NOW + 6) == ""
    assert await store.waiting_deliveries(made.id, 10) == []
    assert (await store.delivery("a", one.id)).state == "delivered"
    works = await store.webhook("a")
    assert (works.failing_since, works.delivered_at) == (None, NOW + 6)
    # A second report of the same message changes nothing.
    await record(store, found, FAILED, AGAIN, NOW + 7)
    assert (await store.delivery("a", one.id)).state == "delivered"


async def test_one_that_fails_for_days_is_disabled_in_words(store: Store) -> None:
    made = await hook(store)
    one = await store.put_test("a", NOW)
    other = await store.put_test("a", NOW)
    await record(store, one, FAILED, AGAIN, NOW)
    (first, *_) = [d for d in await store.waiting_deliveries(made.id, 10) if d.id == one.id]
    why = await record(store, first, FAILED, AGAIN, NOW + 5 * DAY)
    assert "failed for 5 days" in why and "answered 500" in why
    found = await store.webhook("a")
    assert not found.enabled and found.disabled_reason == why
    assert [(await store.delivery("a", one.id)).error for one in (one, other)] == [DISABLED] * 2
    assert await store.count_waiting(made.id, 10) == 0
    for call in (store.put_test("a", NOW), store.replay("a", one.id, NOW)):
        with pytest.raises(Conflict, match="--enable"):
            await call
    await store.change_webhook("a", WebhookChange(enabled=True), NOW + 6 * DAY)
    again = await store.replay("a", one.id, NOW + 6 * DAY)
    assert (again.id, again.state, again.attempts) == (one.id, "pending", 0)
    with pytest.raises(Conflict, match="already"):
        await store.replay("a", one.id, NOW)


async def test_one_that_is_gone_is_disabled_at_once(store: Store) -> None:
    await hook(store)
    one = await store.put_test("a", NOW)
    gone = Result(DeliveryState.FAILED, disable="the receiver answered 410 Gone")
    assert "410" in await record(store, one, Answer(0.1, 410, "gone"), gone, NOW)
    assert not (await store.webhook("a")).enabled


async def test_messages_are_of_their_webhook(store: Store) -> None:
    await hook(store)
    await hook(store, "b")
    one = await store.put_test("a", NOW)
    for call in (store.delivery("b", one.id), store.replay("b", one.id, NOW)):
        with pytest.raises(NotFound):
            await call
    await store.delete_webhook("a")
    # What was in flight is reported to nobody.
    assert await record(store, one, FAILED, AGAIN, NOW) == ""


async def test_lists_are_new_first_without_bodies(store: Store) -> None:
    await hook(store)
    ids = [(await store.put_test("a", NOW + n)).id for n in range(3)]
    found = await store.deliveries("a", 2)
    assert [one.id for one in found] == ids[:0:-1] and found[0].body == ""
    assert [one.id for one in await store.deliveries("a", 2, ids[1])] == [ids[0]]
    assert await store.deliveries("a", 5, state=DeliveryState.FAILED) == []
    assert len(await store.deliveries("a", 5, state=DeliveryState.PENDING)) == 3


async def test_old_and_many_go_and_those_that_wait_stay(store: Store) -> None:
    made = await hook(store)
    waits = await store.put_test("a", NOW)
    ids = []
    for number in range(4):
        one = await store.put_test("a", NOW + 1 + number)
        ids.append(one.id)
        await record(store, one, Answer(0.1, 200), Result(DeliveryState.DELIVERED), NOW)
    assert await store.prune_deliveries(NOW + 2.5, 100) == 2
    assert await store.prune_deliveries(NOW + 2.5, 100) == 0
    assert await store.prune_deliveries(NOW, 1) == 1
    left = [one.id for one in await store.deliveries("a", 10)]
    assert left == [ids[3], waits.id]
    await store.delete_webhook("a")
    assert await store.prune_deliveries(0, 100) == 2
    assert await store.count_waiting(made.id, 10) == 0
