"""The cancellation of one job inside a transaction."""

from __future__ import annotations

from remote_protocol.states import JobState
from remote_server.store import Store
from remote_server.store.cancelling import cancel_job
from tests.support.stored import NOW, offered, running, submitted


async def test_it_says_in_which_state_the_job_was(store: Store) -> None:
    waits, held = await submitted(store), (await offered(store)).key
    runs = await running(store)

    async def cancel(job: str) -> JobState | None:
        return await store._database.write(lambda tx: cancel_job(tx, job, "why", NOW))

    assert await cancel(waits) is JobState.QUEUED
    assert await cancel(waits) is JobState.CANCELLED, "again changes nothing"
    assert await cancel(held.job) is JobState.ASSIGNED
    assert await cancel(runs.job) is JobState.RUNNING
    assert await cancel("0" * 26) is None
    job = await store.job(waits)
    assert (job.state, job.end_detail) == (
        JobState.CANCELLED,
        "cancelled while it waited: why",
    )
    assert (await store.job(runs.job)).cancel_detail == "why"
    assert await store.demands() == {}
