"""Jobs by their ids and by the keys that they were submitted with."""

from __future__ import annotations

from remote_server.domain.model import Principal
from remote_server.store import Store
from tests.support.stored import NOW, spec

ALICE = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice")
BOB = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAW", "bob")
NONE = "01ARZ3NDEKTSV4RRFFQ69G5FAX"


async def test_jobs_are_found_by_ids_and_by_keys_and_each_once(store: Store) -> None:
    wanted = [spec(idempotency_key=f"k-{number}") for number in range(120)]
    made = [job.id for job in await store.submit(wanted, NOW, by=ALICE)]
    found = await store.known_jobs(
        [*made[:70], made[0], NONE], ["k-0", "k-119", "k-119", "k-none"], ALICE
    )
    assert [job.id for job in found.jobs] == [*made[:70], made[119]]
    assert found.keys == {"k-0": made[0], "k-119": made[119]}


async def test_keys_of_others_are_not_known(store: Store) -> None:
    (job,) = await store.submit([spec(idempotency_key="k")], NOW, by=ALICE)
    assert (await store.known_jobs([], ["k"], BOB)).keys == {}
    assert (await store.known_jobs([job.id], ["k"], ALICE)).keys == {"k": job.id}
    assert await store.known_jobs([], [], ALICE) == ([], {})
