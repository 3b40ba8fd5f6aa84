"""Jobs whose input broke off are cancelled, once, with a sentence; what is left over is removed."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason, JobState
from remote_server.disk.reserve import Reserve
from remote_server.domain.change_set import ChangeSet
from remote_server.errors import StoreUnavailable
from remote_server.inputs import InputStore
from remote_server.inputs.watch import InputWatch
from remote_server.store import Store
from tests.support.live_hub import until
from tests.support.stored import finish, running, spec

MISSING = "01ARYZ6S410000000000000000"


class Place:
    """A store with the inputs of its jobs, and who was asked to end what."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.now = 0.0
        self.store = store
        self.inputs = InputStore(
            folder / "inputs", Reserve(folder, 0), lambda: self.now, 1 << 20, durable=False
        )
        self.inputs.scan()
        self.asked: list[tuple[str, AttemptId, EndReason, str]] = []
        self.watch = InputWatch(self.inputs, store, ttl=60.0)
        if isinstance(store, Store):
            store.on_commit(self._committed)

    def _committed(self, changes: ChangeSet) -> None:
        for attempt, (agent, reason, detail) in changes.cancels.items():
            self.asked.append((agent, attempt, reason, detail))


async def test_a_silent_input_ends_its_job(tmp_path: Path, database_url: str) -> None:
    store = await Store.open(database_url)
    place = Place(tmp_path, store)
    (waiting,) = await store.submit([spec(stdin=True)], time.time())
    key = await running(store, "a", stdin=True)
    await place.inputs.append(key.job, 0, b"abc")
    place.inputs.expect(waiting.id)
    await place.watch.look()
    assert place.asked == []
    place.now = 61.0
    await place.watch.look()
    ((agent, asked, reason, detail),) = place.asked
    assert (agent, asked, reason) == ("a", key, EndReason.CANCELLED)
    assert detail.startswith("its input broke off after 3 bytes: for 1m nobody has sent more")
    job = await store.job(waiting.id)
    assert job.state is JobState.CANCELLED and "its input broke off" in (job.end_detail or "")
    assert place.inputs.known() == [key.job]
    await place.watch.look()
    assert len(place.asked) == 1, "the wish is stored: others repeat it"
    await place.inputs.close()
    await store.close()


async def test_what_an_earlier_process_left_is_removed(tmp_path: Path, database_url: str) -> None:
    store = await Store.open(database_url)
    place = Place(tmp_path, store)
    over = await running(store, "a", stdin=True)
    await finish(store, over)
    lives = await running(store, "a", stdin=True)
    for job in (over.job, lives.job, MISSING):
        await place.inputs.append(job, 0, b"abc")
    await place.watch.prune()
    assert place.inputs.known() == [lives.job]
    place.inputs.expect(MISSING)
    other = await running(store, "a")
    place.inputs.expect(other.job)
    place.now = 61.0
    await place.watch.look()
    assert place.inputs.known() == [lives.job], "a job that nobody knows is no trouble"
    assert [asked[1] for asked in place.asked] == [lives], "one without input is left alone"
    await place.inputs.close()
    await store.close()


async def test_the_loop_goes_on_when_the_database_is_away(tmp_path: Path) -> None:
    class Away:
        count = 0

        async def job(self, job: str) -> None:
            self.count += 1
            raise StoreUnavailable("away, for this test")

    away = Away()
    place = Place(tmp_path, away)  # type: ignore[arg-type]
    watch = InputWatch(place.inputs, away, ttl=0.02)  # type: ignore[arg-type]
    place.inputs.expect(MISSING)
    loop = asyncio.ensure_future(watch.run())
    await until(lambda: away.count > 3)
    loop.cancel()
    with suppress(asyncio.CancelledError):
        await loop
