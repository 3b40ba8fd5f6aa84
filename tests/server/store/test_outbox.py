"""From events to messages, on a real database."""

from __future__ import annotations

from remote_protocol.api.webhooks import MESSAGE, JobEnded, WebhookChange, WebhookCreate
from remote_protocol.states import EndReason
from remote_server.domain.webhooks import Delivery, Webhook
from remote_server.store import Store
from remote_server.store.outbox import BATCH, Key, Observed
from tests.support.stored import NOW, finish, running, submitted


async def hook(store: Store, name: str = "a", now: float = NOW, **fields: object) -> Webhook:
    wanted = {"name": name, "url": "https://x.example", "events": ["job.ended"], **fields}
    return await store.create_webhook(WebhookCreate.model_validate(wanted), "key", now)


async def ended(store: Store, now: float = NOW, **fields: object) -> str:
    job = await submitted(store, now, **fields)
    await store.request_cancel(job, "", now)
    return job


async def waiting(store: Store, made: Webhook) -> list[Delivery]:
    return await store.waiting_deliveries(made.id, 1000)


async def test_each_end_is_told_once_to_each_that_asks(store: Store) -> None:
    await ended(store)
    one = await hook(store)
    other = await hook(store, "b", states=["failed"])
    job = await ended(store, name="x")
    key = await running(store)
    await finish(store, key, 1, EndReason.EXIT)
    assert await store.make_deliveries(NOW + 1, 100) == 2
    assert await store.make_deliveries(NOW + 2, 100) == 0
    assert {found.subject for found in await waiting(store, one)} == {job, key.job}
    (failed,) = await waiting(store, other)
    assert failed.subject == key.job and failed.next_at == NOW + 1
    message = MESSAGE.validate_json(failed.body)
    assert isinstance(message, JobEnded)
    assert message.id == failed.id and message.data.exit_code == 1


async def test_a_later_webhook_hears_of_what_follows(store: Store) -> None:
    await hook(store)
    await ended(store)
    late = await hook(store, "b")
    job = await ended(store)
    await store.make_deliveries(NOW, 100)
    assert [found.subject for found in await waiting(store, late)] == [job]


async def test_what_happens_while_it_is_disabled_is_not_told(store: Store) -> None:
    one = await hook(store)
    await store.change_webhook("a", WebhookChange(enabled=False), NOW)
    await ended(store)
    assert await store.make_deliveries(NOW, 100) == 0
    await store.change_webhook("a", WebhookChange(enabled=True), NOW)
    job = await ended(store)
    await store.make_deliveries(NOW, 100)
    assert [found.subject for found in await waiting(store, one)] == [job]


async def test_too_many_are_dropped_and_counted(store: Store) -> None:
    counted: dict[str, int] = {}
    store.on_commit(lambda changes: counted.update(changes.webhook_counts))
    one = await hook(store)
    for _ in range(3):
        await ended(store)
    await store.make_deliveries(NOW, 2)
    assert len(await waiting(store, one)) == 2
    assert (await store.webhook("a")).dropped == 1 and counted == {"dropped": 1}
    await ended(store)
    await store.make_deliveries(NOW, 2)
    assert (await store.webhook("a")).dropped == 2


async def test_many_events_take_several_turns(store: Store) -> None:
    one = await hook(store)
    specs = [await submitted(store) for _ in range(BATCH + 5)]
    for job in specs:
        await store.request_cancel(job, "", NOW)
    assert await store.make_deliveries(NOW, 1000) == BATCH
    assert await store.make_deliveries(NOW, 1000) == 5
    assert len({found.id for found in await waiting(store, one)}) == BATCH + 5


async def test_no_job_is_forgotten_before_its_end_was_told(store: Store) -> None:
    one = await hook(store)
    job = await ended(store)
    assert await store.forget_jobs([job]) == 0
    await store.make_deliveries(NOW, 100)
    assert await store.forget_jobs([job]) == 1
    assert [found.subject for found in await waiting(store, one)] == [job]


def seen(**up: bool | None) -> dict[Key, Observed]:
    return {("agent", name): Observed(state, ("x",), since=NOW) for name, state in up.items()}


async def test_states_are_told_when_they_change(store: Store) -> None:
    events = ["agent.offline", "agent.online"]
    one = await hook(store, events=events, now=NOW + 5)
    assert await store.note_states(seen(a=True, b=None), NOW + 10, 100) == 1
    assert await waiting(store, one) == []
    assert await store.note_states(seen(a=True, b=False), NOW + 11, 100) == 1
    assert await waiting(store, one) == []
    assert await store.note_states(seen(a=False, b=False), NOW + 12, 100) == 1
    assert await store.note_states(seen(a=False, b=None), NOW + 13, 100) == 0
    assert await store.note_states(seen(a=True), NOW + 14, 100) == 1
    told = [(found.type, found.subject) for found in await waiting(store, one)]
    assert told == [("agent.offline", "a"), ("agent.online", "a")]


async def test_a_new_agent_comes_online(store: Store) -> None:
    early = await hook(store, events=["agent.online"], now=NOW - 5)
    late = await hook(store, "b", events=["agent.online"], now=NOW + 5)
    await store.note_states(seen(a=True), NOW + 10, 100)
    assert [found.subject for found in await waiting(store, early)] == ["a"]
    assert await waiting(store, late) == []


async def test_queues_are_told_after_they_were_seen(store: Store) -> None:
    one = await hook(store, events=["queue.unserved", "queue.served"])
    for up in (False, True, None, False):
        await store.note_states({("queue", "x"): Observed(up)}, NOW, 100)
    assert {found.type for found in await waiting(store, one)} == {
        "queue.served",
        "queue.unserved",
    }
    await store.forget_states()
    await store.note_states({("queue", "x"): Observed(True)}, NOW, 100)
    assert len(await waiting(store, one)) == 2


async def test_places(store: Store) -> None:
    agents, queues = await store.places()
    assert agents == [] and queues == ["default"]
