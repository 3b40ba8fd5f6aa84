"""Many jobs of somebody who is limited to some queues."""

from __future__ import annotations

from typing import Any

from remote_server.domain.model import SYSTEM, Job
from remote_server.domain.secrets import Sealed
from remote_server.errors import NoQueueNamed, UnknownAgent, UnknownQueue
from remote_server.queries.limited_batches import Theirs, submit_each, where_the_first_went
from remote_server.store import Store
from remote_server.store.lookup import FoundJobs
from tests.support.stored import NOW, spec


def theirs(**fields: Any) -> Theirs:
    """Of somebody who has `default`, and not `hidden`."""
    given = {"default": "default", "queues": frozenset({"default", "gone"}), **fields}
    return Theirs(**{"agents": frozenset({"left"}), "some_agents": ["mine"], **given})


async def test_each_is_judged_by_what_is_theirs_and_inputs_stay_with_their_jobs(
    store: Store,
) -> None:
    def seal(job: str) -> Sealed:
        return Sealed("key", "nonce", f"for {job}")

    named, private = spec(queue="default"), spec(queue="default", private_input=True)
    wanted = [spec(queue="hidden"), named, private, spec(queue="gone"), spec(agent="left")]
    wanted.append(spec(agent="other"))
    found = await submit_each(store, wanted, NOW, SYSTEM, {2: seal, 3: seal}, theirs())
    kinds = [UnknownQueue, Job, Job, UnknownQueue, UnknownAgent, UnknownAgent]
    assert [type(one) for one in found] == kinds
    assert "the queues are: default, gone" in str(found[0])
    # Deleted since they were looked up.
    assert "the queues are: default; the token is limited" in str(found[3])
    assert "there is no agent 'left'" in str(found[4])
    assert "the agents are: mine" in str(found[5])
    plain, sealed = (one.id for one in found if isinstance(one, Job))
    assert await store.sealed_input(sealed) == seal(sealed)
    assert await store.sealed_input(plain) is None


def test_who_names_none_needs_the_default_queue() -> None:
    places = theirs(default="hidden", agents=frozenset())
    wanted = [spec(), spec(queue="default", agent="left")]
    assert [type(one) for one in places.strangers(wanted)] == [NoQueueNamed, UnknownAgent]
    assert "hidden" not in str(places.strangers(wanted)[0])
    assert theirs().strangers([spec(), spec(agent="left")]) == []


async def test_a_repeat_that_names_no_queue_goes_where_the_first_one_went(store: Store) -> None:
    (first,) = await store.submit([spec(queue="default", idempotency_key="k")], NOW)
    found = FoundJobs([first], {"k": first.id})
    wanted = [spec(idempotency_key="k"), spec(idempotency_key="other"), spec(queue="named")]
    moved = where_the_first_went(wanted, found)
    assert [one.names_queue for one in moved] == [True, False, True]
    assert moved[0].queue == "default" and moved[2].queue == "named"
