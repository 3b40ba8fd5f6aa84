"""Many jobs of somebody who is limited to some queues."""

from __future__ import annotations

from collections.abc import Sequence

from remote_protocol.spec import JobSpec
from remote_server.domain.model import SYSTEM, Job
from remote_server.domain.secrets import Sealed
from remote_server.errors import ServerError, UnknownAgent, UnknownQueue
from remote_server.queries.limited_batches import Theirs, submit_each, where_the_first_went
from remote_server.store import Store
from remote_server.store.lookup import FoundJobs
from tests.support.stored import NOW, spec


class Places:
    """The queue `hidden` belongs to others; nothing of it is known."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def strangers(self, wanted: Sequence[JobSpec]) -> list[ServerError]:
        self.asked += [one.queue for one in wanted]
        return [
            UnknownQueue(one.queue, (), limited=True) for one in wanted if one.queue == "hidden"
        ]

    async def narrowed(self, error: UnknownQueue | UnknownAgent) -> ServerError:
        return type(error)("narrowed", ())


async def test_places_are_asked_for_once_and_inputs_stay_with_their_jobs(store: Store) -> None:
    places = Places()
    theirs = Theirs(places.strangers, places.narrowed)

    def seal(job: str) -> Sealed:
        return Sealed("key", "nonce", f"for {job}")

    named, private = spec(queue="default"), spec(queue="default", private_input=True)
    wanted = [spec(queue="hidden"), named, private, spec(queue="gone"), spec(queue="hidden")]
    found = await submit_each(store, wanted, NOW, SYSTEM, {2: seal, 3: seal}, theirs)
    assert [type(one) for one in found] == [UnknownQueue, Job, Job, UnknownQueue, UnknownQueue]
    assert "narrowed" in str(found[3]) and "hidden" in str(found[0])
    assert places.asked == ["hidden", "default", "gone"]
    plain, sealed = (one.id for one in found if isinstance(one, Job))
    assert await store.sealed_input(sealed) == seal(sealed)
    assert await store.sealed_input(plain) is None


async def test_a_repeat_that_names_no_queue_goes_where_the_first_one_went(store: Store) -> None:
    (first,) = await store.submit([spec(queue="default", idempotency_key="k")], NOW)
    found = FoundJobs([first], {"k": first.id})
    wanted = [spec(idempotency_key="k"), spec(idempotency_key="other"), spec(queue="named")]
    moved = where_the_first_went(wanted, found)
    assert [one.names_queue for one in moved] == [True, False, True]
    assert moved[0].queue == "default" and moved[2].queue == "named"
