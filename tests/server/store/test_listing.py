"""Lists of jobs: every filter, pages without gaps, bounded work."""

from __future__ import annotations

import pytest

from remote_protocol.api.queues import QueueCreate
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason, JobState
from remote_server.domain.model import Principal
from remote_server.store import Store, listing
from remote_server.store.listing import JobFilter
from tests.support.stored import NOW, finish, running, spec, submitted

ALICE = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice")
BOB = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAW", "bob")


async def ids(store: Store, **where: object) -> list[str]:
    """All jobs that a filter finds, over as many pages as it takes."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await store.jobs(JobFilter(**where), limit=3, cursor=cursor)  # type: ignore[arg-type]
        found += [job.id for job in page]
        if cursor is None:
            return found


async def test_pages_go_from_new_to_old_without_gaps(store: Store) -> None:
    made = [job.id for job in await store.submit([spec() for _ in range(7)], NOW)]
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page, cursor = await store.jobs(limit=3, cursor=cursor)
        assert len(page) <= 3
        seen += [job.id for job in page]
        if cursor is None:
            break
    assert seen == made[::-1]
    exact, cursor = await store.jobs(limit=7)
    assert (len(exact), cursor) == (7, None)


async def test_lists_are_filtered(store: Store) -> None:
    from remote_protocol.api.queues import QueueCreate

    await store.create_queue(QueueCreate(name="big"), NOW)
    waiting = await submitted(store)
    other = await submitted(store, queue="big")
    key = await running(store, "host1", queue="big")

    async def ids(**where: object) -> list[str]:
        return [job.id for job in (await store.jobs(JobFilter(**where)))[0]]  # type: ignore[arg-type]

    assert await ids(states=frozenset({JobState.QUEUED})) == [other, waiting]
    assert await ids(queue="big") == [key.job, other]
    assert await ids(agent="host1") == [key.job]
    assert await ids(agent="host2") == []
    assert await ids(states=frozenset({JobState.RUNNING}), queue="big", agent="host1") == [key.job]


async def test_several_states(store: Store) -> None:
    waiting = await submitted(store)
    live = await running(store)
    over = await running(store)
    await finish(store, over)
    some = frozenset({JobState.QUEUED, JobState.SUCCEEDED})
    assert await ids(store, states=some) == [over.job, waiting]
    assert await ids(store, states=some, agent="a") == [over.job]
    assert await ids(store, states=frozenset(JobState)) == [over.job, live.job, waiting]


async def test_several_states_are_found_without_a_search(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SEARCH_TIME", -1.0)
    monkeypatch.setattr(listing, "SLICE", 1)
    waiting = [await submitted(store, NOW + n) for n in range(3)]
    live = [(await running(store, now=NOW + 10 + n)).job for n in range(4)]
    some = frozenset({JobState.QUEUED, JobState.RUNNING})
    page, cursor = await store.jobs(JobFilter(states=some), limit=5)
    assert [job.id for job in page] == [*live[::-1], waiting[2]]
    assert cursor == waiting[2]
    page, cursor = await store.jobs(JobFilter(states=some), limit=5, cursor=cursor)
    assert ([job.id for job in page], cursor) == (waiting[1::-1], None)


async def test_reasons_of_the_end(store: Store) -> None:
    waiting = await submitted(store)
    failed, done = await running(store), await running(store)
    await finish(store, failed, 9, EndReason.SIGNAL)
    await finish(store, done)
    assert await ids(store, reasons=frozenset({EndReason.SIGNAL})) == [failed.job]
    both = frozenset({EndReason.SIGNAL, EndReason.EXIT})
    assert await ids(store, reasons=both) == [done.job, failed.job]
    assert await ids(store, reasons=frozenset({EndReason.LOST})) == []
    assert await ids(store, reasons=both, states=frozenset({JobState.FAILED})) == [failed.job]
    assert waiting in await ids(store)


async def test_parts_of_names_and_ids(store: Store) -> None:
    made = [await submitted(store, NOW + n, name=f"Nightly {n} 50%_\\") for n in range(5)]
    plain = await submitted(store, NOW + 9)
    assert await ids(store, name="nightly") == made[::-1]
    assert await ids(store, name="NIGHTLY 3") == [made[3]]
    assert await ids(store, name="50%_\\") == made[::-1]
    assert await ids(store, name="5%") == []
    assert await ids(store, name="y_3") == []
    for job in (made[2], plain):
        for part in (job, job[-6:], job[4:20], job.lower()[-8:]):
            assert job in await ids(store, part=part)
        assert await ids(store, part=job) == [job]
        assert await ids(store, part=job[-8:]) == [job]
    assert await ids(store, part="%") == []


async def test_annotations(store: Store) -> None:
    (first,) = await store.submit([spec(annotations={"run": "7", "team": "a"})], NOW)
    (second,) = await store.submit([spec(annotations={"run": "8"}, labels={"run": "7"})], NOW)
    await store.submit([spec()], NOW)
    assert await ids(store, annotations=(("run", None),)) == [second.id, first.id]
    assert await ids(store, annotations=(("run", "7"),)) == [first.id]
    assert await ids(store, annotations=(("run", "8"),), labels=(("run", "7"),)) == [second.id]
    assert await ids(store, annotations=(("run", "7"), ("team", "b"))) == []


async def test_labels_times_and_submitters(store: Store) -> None:
    (first,) = await store.submit([spec(labels={"gpu": "yes", "x": 'a"],["b'})], NOW, ALICE)
    (second,) = await store.submit([spec(labels={"gpu": "no"})], NOW + 10, BOB)
    (third,) = await store.submit([spec()], NOW + 20, ALICE)
    assert await ids(store, labels=(("gpu", None),)) == [second.id, first.id]
    assert await ids(store, labels=(("gpu", "yes"),)) == [first.id]
    assert await ids(store, labels=(("gpu", "yes"), ("x", 'a"],["b'))) == [first.id]
    assert await ids(store, labels=(("gpu", "yes"), ("x", "b"))) == []
    assert await ids(store, since=NOW + 10) == [third.id, second.id]
    assert await ids(store, until=NOW + 10) == [first.id]
    assert await ids(store, since=NOW + 5, until=NOW + 15) == [second.id]
    assert await ids(store, since=-1e9, until=1e18) == [third.id, second.id, first.id]
    assert await ids(store, submitter="alice") == [third.id, first.id]
    assert await ids(store, submitter=BOB.id) == [second.id]
    assert await ids(store, submitter="ali") == []
    assert (await store.job(first.id)).submitted_by == ALICE
    assert [job.submitted_by for job in (await store.jobs())[0]] == [ALICE, BOB, ALICE]


@pytest.mark.parametrize("search_time", [1000.0, -1.0])
async def test_long_searches_go_in_slices_and_lose_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch, search_time: float
) -> None:
    monkeypatch.setattr(listing, "SLICE", 7)
    monkeypatch.setattr(listing, "SEARCH_TIME", search_time)
    specs = [spec(name="yes" if n % 5 == 0 else "no", labels={"n": str(n % 5)}) for n in range(100)]
    made = [job.id for job in await store.submit(specs, NOW)]
    assert await ids(store, name="yes") == made[::-1][4::5]
    assert await ids(store, labels=(("n", "0"),)) == made[::-1][4::5]
    assert await ids(store, name="yes", queue="default") == made[::-1][4::5]
    assert await ids(store, name="nothing") == []
    page, cursor = await store.jobs(JobFilter(name="yes"), limit=1)
    assert len(page) <= 1
    assert cursor is not None


async def test_a_page_ends_with_its_size(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "PAGE_SIZE", 2000)
    made = [await submitted(store, cwd="/" + "x" * 900) for _ in range(5)]
    page, cursor = await store.jobs()
    assert [job.id for job in page] == made[::-1][:2]
    assert cursor == made[3]
    assert await ids(store) == made[::-1]
    big = await submitted(store, cwd="/" + "x" * 4000)
    page, cursor = await store.jobs()
    assert ([job.id for job in page], cursor) == ([big], big)


async def test_what_is_large_is_cut_and_named(store: Store) -> None:
    script = "echo ünïcödé\n" * 60_000
    await submitted(
        store, command=[], shell="bash", script=script, env={f"N{n}": "v" * 99 for n in range(100)}
    )
    await submitted(store, command=["python3", "-c", "x" * 100_000, "y"])
    await submitted(store, files=[{"path": "a", "content": "eA=="}])
    await submitted(store, env={"SMALL": "1"})
    small, filed, long, scripted = (await store.jobs())[0]
    assert (small.abridged, small.spec.env) == ((), {"SMALL": "1"})
    assert (filed.abridged, filed.spec.files) == (("files",), [])
    assert long.abridged == ("command",)
    assert isinstance(long.spec, CommandSpec)
    assert long.spec.command[:2] == ["python3", "-c"]
    assert sum(map(len, long.spec.command)) <= 260
    assert scripted.abridged == ("script", "env")
    assert isinstance(scripted.spec, CommandSpec)
    assert (scripted.spec.script or "").startswith("echo ünïcödé")
    assert len(scripted.spec.script or "") == 256
    assert set(scripted.spec.env.values()) == {""}
    assert "N7" in scripted.spec.env
    whole = await store.job(scripted.id)
    assert isinstance(whole.spec, CommandSpec)
    assert (whole.spec.script, len(whole.spec.env), whole.abridged) == (script, 100, ())


async def test_jobs_that_run_the_longest_come_first(store: Store) -> None:
    keys = [await running(store, now=NOW + after) for after in (20, 0, 10)]
    await submitted(store, now=NOW - 50)
    assert await store.longest(2) == [keys[1].job, keys[2].job]


@pytest.mark.parametrize("merged", [8, 1], ids=["by their indexes", "in slices"])
async def test_jobs_of_several_queues(
    store: Store, monkeypatch: pytest.MonkeyPatch, merged: int
) -> None:
    monkeypatch.setattr(listing, "MERGED", merged)
    monkeypatch.setattr(listing, "SLICE", 4)
    for name in ("a", "b", "c"):
        await store.create_queue(QueueCreate(name=name), NOW)
    made = [await submitted(store, NOW + n, queue="abc"[n % 3]) for n in range(12)]
    some = [job for n, job in enumerate(made) if n % 3 < 2][::-1]
    assert await ids(store, queues=frozenset({"a", "b"})) == some
    assert await ids(store, queues=frozenset({"a", "b"}), states=frozenset(JobState)) == some
    assert await ids(store, queues=frozenset()) == []
