"""Private inputs lie beside their jobs until these have ended, whatever ends them."""

from __future__ import annotations

import pytest

from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason, JobState
from remote_server.domain.model import Principal
from remote_server.domain.secrets import Sealed
from remote_server.errors import Conflict
from remote_server.store import Store
from tests.support.stored import NOW, finish, spec, started

BY = Principal("t1", "someone")


def seal(job: str) -> Sealed:
    return Sealed("k1", "nonce", f"sealed for {job}")


async def submitted(store: Store, **fields: object) -> str:
    (job,) = await store.submit([spec(private_input=True, **fields)], NOW, inputs={0: seal})
    assert await store.sealed_input(job.id) == seal(job.id)
    return job.id


async def test_it_goes_with_the_end_of_its_job(store: Store) -> None:
    job = await submitted(store, max_attempts=2, retry_on=["exit"], retry_backoff=0)
    (lease,) = await store.assign([(job, "a")], NOW)
    await finish(store, await started(store, lease), 1)
    assert await store.sealed_input(job) is not None, "the next attempt needs it"
    await store.release_due(NOW)
    (lease,) = await store.assign([(job, "a")], NOW)
    assert lease.spec.private_input is True
    await finish(store, await started(store, lease), 0)
    assert (await store.job(job)).state is JobState.SUCCEEDED
    assert await store.sealed_input(job) is None and not await store.has_private_inputs()


async def test_cancelled_and_expired_jobs_lose_theirs(store: Store) -> None:
    job = await submitted(store)
    assert await store.has_private_inputs()
    await store.request_cancel(job, "enough", NOW)
    assert await store.sealed_input(job) is None
    job = await submitted(store, expires_in=5)
    assert await store.expire_waiting(NOW + 6) == [job]
    assert (await store.job(job)).end_reason is EndReason.EXPIRED
    assert await store.sealed_input(job) is None


async def test_a_start_forgets_what_was_left(store: Store) -> None:
    job = await submitted(store)
    (lease,) = await store.assign([(job, "a")], NOW)
    await started(store, lease)
    await store.begin_life(0, NOW)
    assert await store.sealed_input(job) is not None
    # As of a database that was put back: more starts are known than it counts.
    waiting = await submitted(store)
    await store.begin_life(9, NOW)
    assert (await store.job(waiting)).state is JobState.FAILED
    assert await store.sealed_input(waiting) is None
    assert await store.sealed_input(job) is not None, "its agent may have accepted it"


async def test_a_repeat_answers_the_first_job_whatever_its_input(store: Store) -> None:
    wanted = spec(private_input=True, idempotency_key="once")
    (first,) = await store.submit([wanted], NOW, by=BY, inputs={0: seal})
    other = {0: lambda _: Sealed("k2", "n", "another")}
    (again,) = await store.submit([wanted], NOW + 1, by=BY, inputs=other)
    assert again.id == first.id
    assert await store.sealed_input(first.id) == seal(first.id)
    with pytest.raises(Conflict):
        await store.submit([spec(idempotency_key="once")], NOW, by=BY)


async def test_all_are_sealed_anew_with_a_new_key(store: Store) -> None:
    first, second = await submitted(store), await submitted(store)
    names = []

    def reseal(name: str, sealed: Sealed) -> Sealed:
        names.append(name)
        return sealed._replace(key_id="k2")

    assert await store.reseal_secrets("k2", reseal) == 0, "that many secrets"
    assert names == [f"input of job {first}", f"input of job {second}"]
    found = await store.sealed_input(first)
    assert found is not None and found.key_id == "k2"


async def test_no_specification_is_stored_with_the_text(store: Store) -> None:
    wanted = JobSpec.model_validate({"command": ["true"], "private_input": "hush"})
    with pytest.raises(ValueError, match="never part"):
        await store.submit([wanted], NOW)
