"""What every database promises, on each of them, and the traps that were seen on PostgreSQL."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import bindparam, delete, insert, select

from remote_protocol.api.queues import QueueCreate
from remote_protocol.spec import CommandSpec
from remote_protocol.states import JobState
from remote_server.domain.change_set import ChangeSet
from remote_server.errors import Conflict, NotFound, Stale, StoreUnavailable
from remote_server.store import Store, Terms
from remote_server.store.ports import OperationFault, Reader, Transaction
from remote_server.store.schema import meta
from tests.support.databases import KINDS, new_database
from tests.support.stored import NOW, ended, finish, offered, running, spec, started, submitted

_PUT = insert(meta).values(name=bindparam("name"), value=bindparam("value"))
_DROP = delete(meta).where(meta.c.name == bindparam("wanted"))
_ALL = select(meta.c.name).where(meta.c.name > bindparam("after")).order_by(meta.c.name)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh database of each kind."""
    return new_database(tmp_path, request.param)


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    opened = await Store.open(url)
    yield opened
    assert await opened.check() == []
    await opened.close()


def put(name: str, value: str = "") -> Callable[[Transaction], str]:
    def write(tx: Transaction) -> str:
        tx.run(_PUT, {"name": name, "value": value})
        return name

    return write


async def names(store: Store) -> list[str]:
    """Those that tests have put there: they sort after all others."""
    rows = await store._database.read(lambda reader: reader.all(_ALL, {"after": "~"}))
    return [row.name for row in rows]


# Transactions --------------------------------------------------------------------------------


async def test_results_come_in_the_order_of_the_calls(store: Store) -> None:
    order: list[int] = []

    def numbered(number: int) -> Callable[[Transaction], int]:
        def write(tx: Transaction) -> int:
            tx.run(_PUT, {"name": f"~{number:03}", "value": ""})
            return number

        return write

    futures = [store._database.write(numbered(number)) for number in range(150)]
    for future in futures:
        future.add_done_callback(lambda done: order.append(done.result()))
    await asyncio.gather(*futures)
    assert order == list(range(150))
    assert len(await names(store)) == 150


async def test_what_waits_together_shares_a_commit(store: Store) -> None:
    told: list[ChangeSet] = []
    store.on_commit(told.append)

    # On a thread, the first may be carried out before the last one is there.
    all_wait = threading.Event()

    def noted(number: int) -> Callable[[Transaction], None]:
        def write(tx: Transaction) -> None:
            all_wait.wait(30)
            tx.note(f"job{number}", NOW, "queued")

        return write

    writes = [store._database.write(noted(number)) for number in range(60)]
    all_wait.set()
    await asyncio.gather(*writes)
    assert sum(len(changes.jobs) for changes in told) == 60
    assert len(told) <= 3


async def test_a_caller_reads_what_it_has_written(store: Store) -> None:
    for number in range(20):
        await store._database.write(put(f"~{number:02}"))
        assert len(await names(store)) == number + 1
        assert len(
            await store._database.read(lambda r: r.all(_ALL, {"after": "~"}), long=True)
        ) == (number + 1)


async def test_what_raises_without_having_written_costs_the_others_nothing(store: Store) -> None:
    """Trap 10: one stale report in a batch must not have all others done again."""
    runs: list[str] = []

    def good(name: str) -> Callable[[Transaction], str]:
        def write(tx: Transaction) -> str:
            runs.append(name)
            return put(name)(tx)

        return write

    def stale(tx: Transaction) -> None:
        raise Stale("not yours")

    results = await asyncio.gather(
        *(store._database.write(good(f"~{number}")) for number in range(4)),
        store._database.write(stale),
        *(store._database.write(good(f"~{number}")) for number in range(4, 8)),
        return_exceptions=True,
    )
    assert isinstance(results[4], Stale)
    assert len(await names(store)) == 8
    assert runs == [f"~{number}" for number in range(8)], "each of them ran once"


async def test_only_the_guilty_operation_is_undone(store: Store) -> None:
    """Trap 10: any error of a statement aborts a whole transaction of PostgreSQL."""
    told: list[ChangeSet] = []
    store.on_commit(told.append)
    await store._database.write(put("~taken"))

    def half(tx: Transaction) -> None:
        tx.run(_PUT, {"name": "~half", "value": ""})
        tx.note("half", NOW, "queued")
        raise NotFound("job", "x")

    def good(name: str) -> Callable[[Transaction], str]:
        def write(tx: Transaction) -> str:
            tx.note(name, NOW, "queued")
            return put(f"~{name}")(tx)

        return write

    results = await asyncio.gather(
        store._database.write(good("a")),
        store._database.write(half),
        store._database.write(put("~taken")),
        store._database.write(good("b")),
        return_exceptions=True,
    )
    assert (results[0], results[3]) == ("~a", "~b")
    assert isinstance(results[1], NotFound)
    assert isinstance(results[2], OperationFault)
    assert "~taken" not in str(results[2]), "the text shows no stored value"
    assert await names(store) == ["~a", "~b", "~taken"]
    assert set().union(*(changes.jobs for changes in told)) == {"a", "b"}


async def test_the_number_of_changed_rows_is_known(store: Store) -> None:
    """Trap 11."""

    def write(tx: Transaction) -> tuple[int, int]:
        tx.run(_PUT, {"name": "~a", "value": ""})
        return tx.changed(_DROP, {"wanted": "~a"}), tx.changed(_DROP, {"wanted": "~a"})

    assert await store._database.write(write) == (1, 0)


async def test_reads_are_of_one_moment(url: str) -> None:
    """Trap 2: in READ COMMITTED, the second read of an operation sees what was committed since."""
    store = await Store.open(url)
    other = await Store.open(url, Terms(guest=True))
    between, go_on = threading.Event(), threading.Event()

    def twice(reader: Reader) -> tuple[int, int]:
        first = len(reader.all(_ALL, {"after": "~"}))
        between.set()
        # SQLite runs inline: there, nobody can write between.
        go_on.wait(0 if url.startswith("sqlite") else 10)
        return first, len(reader.all(_ALL, {"after": "~"}))

    reading = asyncio.ensure_future(other._database.read(twice, long=True))
    await asyncio.to_thread(between.wait, 10)
    await store._database.write(put("~new"))
    go_on.set()
    first, second = await reading
    assert first == second
    await other.close()
    await store.close()


@pytest.mark.parametrize("first", ["read", "write"])
async def test_counts_are_read_in_the_order_of_the_commits(store: Store, first: str) -> None:
    """Trap 1: a count that was read on a thread must not miss, nor count twice, what is committed
    while it is on its way."""
    for round_ in range(4):
        store.forget_counts()
        counting: list[Any] = [store.demands(), store.counts()]
        submitting: list[Any] = [store.submit([spec()] * 3, NOW)]
        work = counting + submitting if first == "read" else submitting + counting
        tasks = [asyncio.ensure_future(one) for one in work]
        for _ in range(3):
            await asyncio.sleep(0)
        # The loop is busy: whatever is done meanwhile reaches it in one go.
        time.sleep(0.1)
        await asyncio.gather(*tasks)
        ready = 3 * (round_ + 1)
        assert list((await store.demands()).values()) == [ready]
        assert await store.counts() == {("default", JobState.QUEUED): ready}


async def test_operations_touch_nothing_of_the_loop(store: Store, monkeypatch: Any) -> None:
    """Trap 12: what is remembered of specifications is the loop's."""
    loop_thread = threading.get_ident()
    touched: list[int] = []
    for name in ("parse", "parse_listed", "known", "remember"):
        real = getattr(type(store.specs), name)

        def noted(self: object, *values: object, _real: Any = real) -> Any:
            touched.append(threading.get_ident())
            return _real(self, *values)

        monkeypatch.setattr(type(store.specs), name, noted)
    store.specs._known.clear()
    key = await running(store, max_attempts=2)
    store.specs._known.clear()
    await store.leases_of("a"), await store.leases([key], "a"), await store.jobs()
    await store.request_cancel(key.job, "", NOW)
    again = await submitted(store)
    store.specs._known.clear()
    await store.assign([(again, "a")], NOW)
    assert len(touched) > 5
    assert set(touched) == {loop_thread}


# Values --------------------------------------------------------------------------------------


async def test_large_numbers_are_kept(store: Store) -> None:
    """Trap 3: exit codes of Windows reach 2^32, numbers of attempts pass 2^31 in 2038."""
    key = await running(store)
    await finish(store, key, 2**32 - 1)
    assert (await store.job(key.job)).exit_code == 2**32 - 1
    await submitted(store)
    late = 2_200_000_000.0
    assert (await store.begin_life(7, late, run=True)).restored
    waiting = await submitted(store)
    (head, *_) = await store.heads(list(await store.demands()), 5)
    assert head.job != waiting
    (lease,) = await store.assign([(head.job, "a")], late + 1)
    assert lease.key.number > 2**31
    await started(store, lease, late)


async def test_a_cursor_may_be_larger_than_any_number(store: Store) -> None:
    """Trap 4: /events?after=2^40."""
    await submitted(store)
    assert await store.events(2**40) == []
    assert await store.events(2**62) == []


async def test_labels_may_be_long(store: Store) -> None:
    """Trap 6: an entry of an index of PostgreSQL has 2,704 bytes at the most."""
    labels = {f"key-{number:02}": f"{number:02}-" + "ü" * 120 for number in range(20)}
    first = await submitted(store, labels=labels)
    second = await submitted(store, labels=labels | {"key-19": "other"})
    demands = await store.demands()
    assert sorted(demands.values()) == [1, 1]
    heads = {(await store.heads([demand], 5))[0].job for demand in demands}
    assert heads == {first, second}
    store.forget_counts()
    assert await store.demands() == demands


async def test_pages_begin_with_the_newest_job(store: Store) -> None:
    """Trap 7: `~` is before letters in most collations."""
    made = [await submitted(store, NOW + number) for number in range(5)]
    page, cursor = await store.jobs(limit=3)
    assert [job.id for job in page] == made[:1:-1]
    rest, _ = await store.jobs(limit=3, cursor=cursor)
    assert [job.id for job in rest] == made[1::-1]


async def test_texts_are_ordered_by_their_bytes(store: Store) -> None:
    """Trap 7: B before a, whatever the database's collation."""
    await asyncio.gather(*(store._database.write(put(f"~{name}")) for name in "bAaBé"))
    assert await names(store) == ["~A", "~B", "~a", "~b", "~é"]


async def test_what_the_server_itself_says_may_hold_a_nul(store: Store) -> None:
    """Trap 5: PostgreSQL refuses U+0000. What clients say is refused with it; a cause of an end may
    quote what no check has seen."""
    job = await submitted(store)
    await store.request_cancel(job, "for\0ever", NOW)
    detail = (await store.job(job)).cancel_detail
    assert detail in ("for\0ever", "for\N{REPLACEMENT CHARACTER}ever")


# Lives ---------------------------------------------------------------------------------------


async def test_lives_are_counted_once_each(url: str) -> None:
    """Trap 8: two that begin at once must not get one number."""
    seen = []
    for _ in range(3):
        store = await Store.open(url)
        seen.append((await store.begin_life(0, NOW)).starts)
        await store.close()
    assert seen == [1, 2, 3]


async def test_numbers_of_events_are_never_given_twice(url: str) -> None:
    """Trap 9: followers go on after the last number that they saw, whatever became of it."""
    store = await Store.open(url)
    await submitted(store)
    before = await store.last_seq()
    await store.close()
    store = await Store.open(url)
    await submitted(store)
    assert await store.last_seq() == before + 1, "numbers go on after a clean stop"
    await store.close()


async def test_a_queue_with_jobs_is_never_deleted(store: Store) -> None:
    """Trap 13: a submit against a delete of the queue."""
    for number in range(10):
        name = f"q{number}"
        await store.create_queue(QueueCreate(name=name), NOW)
        submitting = store.submit([CommandSpec(command=["true"], queue=name)], NOW)
        results = await asyncio.gather(submitting, store.delete_queue(name), return_exceptions=True)
        deleted = not isinstance(results[1], Exception)
        assert deleted == isinstance(results[0], Exception), results
        if not deleted:
            assert isinstance(results[1], Conflict)


async def test_a_guest_sees_commits_and_writes_beside_the_server(url: str) -> None:
    store = await Store.open(url)
    guest = await Store.open(url, Terms(migrate=False, guest=True))
    job = await submitted(store)
    assert (await guest.job(job)).id == job
    token = await guest.create_token("api", "digest", "ci", NOW)
    assert (await store.token(token.id)).name == "ci"
    await guest.close()
    lease = await offered(store)
    assert lease.key.number == 1
    await store.close()


async def test_what_was_closed_is_unavailable(url: str) -> None:
    store = await Store.open(url)
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable, match="stopping"):
        await submitted(store)
    with pytest.raises(StoreUnavailable, match="stopping"):
        await store.job("01ARZ3NDEKTSV4RRFFQ69G5FAV")


async def test_an_end_that_comes_too_late_is_stale_in_a_batch(store: Store) -> None:
    keys = [await running(store) for _ in range(8)]
    await store.lose(keys[3], "gone", NOW)
    from remote_server.domain.changes import Finished

    results = await asyncio.gather(
        *(store.record("a", Finished(key, ended(key)), NOW) for key in keys),
        return_exceptions=True,
    )
    assert [isinstance(result, Stale) for result in results] == [key == keys[3] for key in keys]
    assert sum((await store.counts()).values()) == 8


async def test_who_wishes_hears_of_a_record_as_soon_as_it_is_done(store: Store) -> None:
    from remote_server.domain.changes import Finished

    key, lost = await running(store), await running(store)
    await store.lose(lost, "gone", NOW)
    heard: list[asyncio.Future[Any]] = []
    futures = [
        store.record("a", Finished(it, ended(it)), NOW, None, heard.append) for it in (key, lost)
    ]
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert heard == futures
    assert results[0] == futures[0].result() and isinstance(results[1], Stale)
