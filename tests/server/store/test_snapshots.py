"""An attempt and its job as decisions need them."""

from __future__ import annotations

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, JobState
from remote_server.domain.demand import policy_of
from remote_server.errors import Stale
from remote_server.store import Store
from remote_server.store.snapshots import read_attempt
from tests.support.stored import NOW, running, spec


async def test_it_has_all_that_is_decided_upon(store: Store) -> None:
    key = await running(store, now=NOW, max_attempts=3, name="n")
    await store.request_cancel(key.job, "enough", NOW + 5)
    found = await store._database.read(lambda reader: read_attempt(reader, key))
    snapshot = found.snapshot
    assert (found.number, found.queue, found.deferred, found.group_id) == (1, "default", 0, None)
    assert (snapshot.job, snapshot.attempt) == (JobState.RUNNING, AttemptState.RUNNING)
    assert (snapshot.current, snapshot.used, snapshot.tries, snapshot.refusals) == (1, 1, 1, 0)
    assert (snapshot.agent, snapshot.started_at, snapshot.since) == ("a", NOW, NOW)
    assert (snapshot.cancelled, snapshot.cancel_detail) == (True, "enough")
    assert snapshot.policy == policy_of(spec(max_attempts=3))


async def test_there_may_be_none(store: Store) -> None:
    key = await running(store)
    missing = AttemptId(key.job, 2)
    with pytest.raises(Stale, match="there is no attempt"):
        await store._database.read(lambda reader: read_attempt(reader, missing))
