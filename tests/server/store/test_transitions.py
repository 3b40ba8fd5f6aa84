"""What agents report is written as `domain.decisions` says: rows, timeline and counts agree."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Step
from remote_protocol.states import AttemptState, EndReason, JobState
from remote_server.domain.changes import (
    Accepted,
    Change,
    Finished,
    Lost,
    Rejected,
    Returned,
    Running,
    Withdrawn,
)
from remote_server.domain.model import Principal
from remote_server.errors import Stale
from remote_server.store import Store, Terms, assignment, ports, snapshots, transitions
from remote_server.store.sqlite.transaction import STATEMENTS
from tests.support.databases import new_database, sqlite_connection
from tests.support.stored import NOW, ended, finish, offered, running, spec, started, submitted


async def test_the_life_of_a_job_that_succeeds(store: Store) -> None:
    lease = await offered(store)
    key = lease.key
    assert (await store.record("a", Accepted(key), NOW + 1)).job_state is JobState.ASSIGNED
    assert (await store.record("a", Running(key, 42, NOW + 2), NOW + 2.5)).job_state is (
        JobState.RUNNING
    )
    steps = [Step(at=NOW + 3, what="first_output", detail="12 bytes")]
    outcome = await finish(store, key, 0, now=NOW + 9, at=NOW + 8, steps=steps)
    assert outcome.job_state is JobState.SUCCEEDED

    job = await store.job(key.job)
    assert (job.state, job.exit_code, job.end_reason) == (JobState.SUCCEEDED, 0, EndReason.EXIT)
    assert (job.started_at, job.ended_at, job.log_size) == (NOW + 2, NOW + 8, 12)
    assert job.usage is not None and job.usage.duration == 1.5
    (attempt,) = await store.attempts_of(key.job)
    assert attempt.state is AttemptState.ENDED
    assert (attempt.accepted_at, attempt.started_at, attempt.ended_at) == (
        NOW + 1,
        NOW + 2,
        NOW + 8,
    )
    assert (attempt.log_size, attempt.log_complete) == (12, True)
    entries = await store.timeline(key.job)
    assert [(e.what, e.state, e.source) for e in entries] == [
        ("queued", JobState.QUEUED, "server"),
        ("assigned", JobState.ASSIGNED, "server"),
        ("accepted", None, "server"),
        ("started", JobState.RUNNING, "server"),
        ("first_output", None, "agent"),
        ("ended", JobState.SUCCEEDED, "server"),
    ]
    assert await store.leases_of("a") == {}
    assert await store.ended_keys([key, AttemptId(key.job, 2)]) == {key}


async def test_reports_of_others_are_stale(store: Store) -> None:
    key = await running(store, "a")
    for change in (Accepted(key), Finished(key, ended(key)), Lost(key, "")):
        with pytest.raises(Stale, match="held by agent 'a'"):
            await store.record("b", change, NOW)
    with pytest.raises(Stale, match="there is no attempt"):
        await store.record("a", Accepted(AttemptId(key.job, 2)), NOW)
    assert (await store.job(key.job)).state is JobState.RUNNING


async def test_repeated_reports_change_nothing(store: Store) -> None:
    key = await running(store)
    await store.record("a", Accepted(key), NOW + 1)
    await store.record("a", Running(key, 1, NOW), NOW + 1)
    before = await store.timeline(key.job)
    assert [entry.what for entry in before].count("started") == 1
    await finish(store, key, 3)
    again = await finish(store, key, 0)
    assert again.job_state is JobState.FAILED
    assert (await store.job(key.job)).exit_code == 3


async def test_a_lost_attempt_is_replaced_and_fenced(store: Store) -> None:
    key = await running(store, max_attempts=2, retry_backoff=0)
    outcome = await store.lose(key, "agent 'a' was silent", NOW + 600)
    assert outcome.job_state is JobState.QUEUED
    await store.release_due(NOW + 600)
    (lease,) = await store.assign([(key.job, "b")], NOW + 601)
    assert lease.key == AttemptId(key.job, 2)
    for change in (Running(key, 1, NOW), Finished(key, ended(key)), Returned(key), Accepted(key)):
        with pytest.raises(Stale):
            await store.record("a", change, NOW + 700)
    assert await store.leases([key], "a") == {}
    await started(store, lease)
    await finish(store, lease.key, 0, agent="b")
    states = [attempt.state for attempt in await store.attempts_of(key.job)]
    assert states == [AttemptState.LOST, AttemptState.ENDED]


async def test_the_last_attempt_lost_fails_the_job(store: Store) -> None:
    key = await running(store)
    await store.lose(key, "agent 'a' was silent", NOW)
    job = await store.job(key.job)
    assert (job.state, job.end_reason, job.exit_code) == (JobState.FAILED, EndReason.LOST, None)
    assert job.end_detail == "agent 'a' was silent"


async def test_a_lost_attempt_that_returns_is_kept_by_policy(store: Store) -> None:
    policy = {"lost_after": 5, "on_return": "keep_first"}
    key = await running(store, max_attempts=3, on_disconnect=policy, retry_backoff=0)
    await store.lose(key, "silent", NOW)
    await store.release_due(NOW)
    leases = await store.leases([key], "a")
    assert leases[key].may_return
    assert await store.leases([key], "b") == {}
    (replacement,) = await store.assign([(key.job, "b")], NOW + 1)
    await started(store, replacement)

    given_up: dict[AttemptId, tuple[str, str]] = {}
    store.on_commit(lambda changes: given_up.update(changes.given_up))
    outcome = await store.record("a", Returned(key), NOW + 2)
    assert given_up == {replacement.key: ("b", "attempt 1 came back")}
    assert outcome.job_state is JobState.RUNNING
    job = await store.job(key.job)
    assert (job.attempt, job.agent) == (1, "a")
    with pytest.raises(Stale):
        await store.record("b", Finished(replacement.key, ended(replacement.key)), NOW + 3)
    # The next attempt, should it be needed, gets a number that never ran.
    await store.lose(key, "silent again", NOW + 4)
    await store.release_due(NOW + 4)
    (third,) = await store.assign([(key.job, "c")], NOW + 5)
    assert third.key == AttemptId(key.job, 3)


async def test_a_return_to_a_waiting_job_takes_it_out_of_the_queue(store: Store) -> None:
    policy = {"on_return": "keep_first"}
    key = await running(store, max_attempts=2, on_disconnect=policy, retry_backoff=0)
    await store.lose(key, "silent", NOW)
    await store.release_due(NOW)
    assert sum((await store.demands()).values()) == 1
    given_up: dict[AttemptId, tuple[str, str]] = {}
    store.on_commit(lambda changes: given_up.update(changes.given_up))
    await store.record("a", Returned(key), NOW + 2)
    assert given_up == {}
    assert await store.demands() == {}
    assert (await finish(store, key)).job_state is JobState.SUCCEEDED


async def test_a_withdrawn_replacement_is_given_again_after_a_return(store: Store) -> None:
    """Its row is there already: making another one would fail, and with it every assignment."""
    policy = {"on_return": "keep_first"}
    key = await running(store, max_attempts=3, on_disconnect=policy, retry_backoff=0)
    await store.lose(key, "silent", NOW)
    await store.release_due(NOW)
    (replacement,) = await store.assign([(key.job, "b")], NOW + 1)
    await store.record("b", Withdrawn(replacement.key, "the link was lost"), NOW + 2)
    await store.record("a", Returned(key), NOW + 3)
    await finish(store, key, None, EndReason.LOST, now=NOW + 4)
    await store.release_due(NOW + 4)
    (again,) = await store.assign([(key.job, "c")], NOW + 5)
    assert again.key == replacement.key
    await started(store, again)
    assert (await finish(store, again.key, agent="c")).job_state is JobState.SUCCEEDED
    assert [attempt.agent for attempt in await store.attempts_of(key.job)] == ["a", "c"]


async def test_nothing_returns_to_a_job_that_has_ended(store: Store) -> None:
    key = await running(store, on_disconnect={"on_return": "keep_first"})
    await store.lose(key, "silent", NOW)
    assert await store.leases([key], "a") == {}
    with pytest.raises(Stale):
        await store.record("a", Returned(key), NOW)


async def test_a_cancelled_job_of_a_silent_agent_is_ended(store: Store) -> None:
    key = await running(store, max_attempts=5)
    await store.request_cancel(key.job, "enough", NOW)
    outcome = await store.lose(key, "the agent 'a' was silent", NOW + 60)
    assert outcome.job_state is JobState.CANCELLED
    job = await store.job(key.job)
    assert job.end_reason is EndReason.CANCELLED
    assert job.end_detail == "cancelled (enough): the agent 'a' was silent"
    (attempt,) = await store.attempts_of(key.job)
    assert (attempt.state, attempt.end_reason) == (AttemptState.LOST, EndReason.LOST)


async def test_a_policy_of_the_agent_rejects_the_job(store: Store) -> None:
    lease = await offered(store)
    await store.record("a", Rejected(lease.key, "commands are not allowed here"), NOW)
    job = await store.job(lease.key.job)
    assert (job.state, job.end_reason) == (JobState.FAILED, EndReason.REJECTED)
    assert job.end_detail == "commands are not allowed here"


async def test_an_end_without_a_start_is_complete(store: Store) -> None:
    lease = await offered(store)
    await store.record("a", Accepted(lease.key), NOW)
    await finish(store, lease.key, 127, EndReason.SPAWN_ERROR, started_at=NOW + 1, now=NOW + 5)
    job = await store.job(lease.key.job)
    assert (job.state, job.exit_code, job.started_at) == (JobState.FAILED, 127, NOW + 1)


async def test_steps_of_a_host_with_a_wrong_clock_are_inside_what_the_server_knows(
    store: Store,
) -> None:
    key = await running(store)
    step = Step(at=NOW - 9999, what="interrupt", detail="SIGTERM")
    await finish(store, key, now=NOW + 3, steps=[step])
    (entry,) = [event for event in await store.timeline(key.job) if event.what == "interrupt"]
    assert (entry.source, entry.at, entry.state) == ("agent", NOW, None)


PROCESS = "process 42"
_REPORTS = st.lists(
    st.tuples(
        st.sampled_from(
            (
                *("assign", "accept", "run", "exit0", "exit1", "lost", "withdraw", "reject"),
                *("return", "cancel", "release", "expire", "lose"),
            )
        ),
        st.sampled_from(["a", "b"]),
        st.integers(1, 3),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(reports=_REPORTS, keep_first=st.booleans())
async def test_any_order_of_reports_keeps_the_invariants(
    tmp_path_factory: pytest.TempPathFactory,
    reports: list[tuple[str, str, int]],
    keep_first: bool,
) -> None:
    store = await Store.open(new_database(tmp_path_factory.mktemp("any")), Terms("normal"))
    policy = {"on_return": "keep_first" if keep_first else "keep_replacement"}
    job = await submitted(
        store,
        max_attempts=2,
        retry_on=["exit", "lost"],
        retry_backoff=0,
        on_disconnect=policy,
        expires_in=500,
    )
    ran: dict[int, set[str]] = {}
    final: JobState | None = None
    for number, (what, agent, attempt) in enumerate(reports):
        now = NOW + number
        key = AttemptId(job, attempt)
        changes: dict[str, Change] = {
            "accept": Accepted(key),
            "run": Running(key, 1, now),
            "exit0": Finished(key, ended(key, 0)),
            "exit1": Finished(key, ended(key, 1)),
            "lost": Lost(key, "gone"),
            "withdraw": Withdrawn(key, "full"),
            "reject": Rejected(key, "no"),
            "return": Returned(key),
        }
        try:
            match what:
                case "assign":
                    await store.assign([(job, agent)], now)
                case "cancel":
                    await store.request_cancel(job, "", now)
                case "release":
                    await store.release_due(now)
                case "expire":
                    await store.expire_waiting(now + 490)
                case "lose":
                    await store.lose(key, "silent", now)
                case _:
                    await store.record(agent, changes[what], now)
                    if what == "run":
                        ran.setdefault(attempt, set()).add(agent)
        except Stale:
            pass
        found = await store.job(job)
        if final is not None:
            assert found.state is final  # I3
        if found.state.terminal:
            final = found.state
            assert found.ended_at is not None and found.end_reason is not None
        live = await store.live_leases()
        assert len(live) == (found.state in {JobState.ASSIGNED, JobState.RUNNING})
        if live:
            assert (live[0].key.number, live[0].agent) == (found.attempt, found.agent)
    # I1, I2: no attempt number ran on two agents, and never more attempts than the job allows.
    assert all(len(agents) == 1 for agents in ran.values())
    assert len(ran) <= 2
    # Every change of state is exactly one entry.
    states = [entry.state for entry in await store.events(0)]
    assert all(old is not new or old is JobState.RUNNING for old, new in pairwise(states))
    assert states[-1] is (await store.job(job)).state
    counted = (await store.demands(), await store.counts())
    store.forget_counts()
    assert (await store.demands(), await store.counts()) == counted
    assert await store.check() == []
    await store.close()


async def test_what_is_written_for_every_job_makes_no_temporary_table(sqlite_store: Store) -> None:
    """An index with IN in its condition did, twice for each row: a twelfth of a job's cost."""
    every = [getattr(transitions, name) for name in ("_ACCEPT", "_RUN", "_START_JOB")]
    every += [transitions._END, transitions._END_JOB, assignment._GIVE, assignment._NEW_ATTEMPT]
    for statement in [*every, ports.INSERT_TIMELINE, ports.INSERT_UNASKED]:
        compiled = STATEMENTS[statement]
        rows = sqlite_connection(sqlite_store).execute(
            f"EXPLAIN {compiled.text}", (None,) * len(compiled.names)
        )
        assert "OpenEphemeral" not in {row[1] for row in rows}, compiled.text


async def test_a_start_leaves_what_the_assignment_wrote(store: Store) -> None:
    (job,) = await store.submit([spec(expires_in=60)], NOW)
    (lease,) = await store.assign([(job.id, "a")], NOW)
    await started(store, lease)
    found = await store.job(job.id)
    assert (found.state, found.agent, found.attempt) == (JobState.RUNNING, "a", 1)
    assert (found.expires_at, found.not_before) == (None, None)


async def test_who_asked_stands_beside_events_that_nobody_asked_for(store: Store) -> None:
    key = await running(store)
    by = Principal("01ARZ3NDEKTSV4RRFFQ69G5FAV", "alice")
    await asyncio.gather(
        store.submit([spec()], NOW, by=by), store.record("a", Finished(key, ended(key)), NOW)
    )
    events = await store.events(0)
    assert {e.what: e.by for e in events[-2:]} == {"queued": by, "ended": None}


async def _rows(store: Store, job: str) -> tuple[object, ...]:
    """What is stored of a job, without what is a job's own."""
    stored, timeline = await store.job(job), await store.timeline(job)
    attempts = [replace(attempt, job="") for attempt in await store.attempts_of(job)]
    events = [replace(event, seq=0, job="") for event in timeline]
    return replace(stored, id=""), attempts, events, await store.counts(), await store.demands()


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({}, 0, EndReason.EXIT),
        ({}, 3, EndReason.EXIT),
        ({"max_attempts": 2, "retry_on": ["exit"]}, 3, EndReason.EXIT),
        ({"expires_in": 3600}, 0, EndReason.EXIT),
        ({"expires_in": 3600, "max_attempts": 2, "retry_on": ["exit"]}, 1, EndReason.EXIT),
        ({}, None, EndReason.LOST),
    ],
)
async def test_a_start_and_an_end_leave_the_same_however_they_come(
    tmp_path: Path, fields: dict[str, Any], code: int | None, reason: EndReason
) -> None:
    found = []
    for how in ("in one transaction", "one after another", "by the end alone"):
        store = await Store.open(str(tmp_path / f"{how}.db"))
        lease = await offered(store, **fields)
        await store.record("a", Accepted(lease.key), NOW + 1)
        if how != "by the end alone":
            start = store.record("a", Running(lease.key, 42, NOW + 2), NOW + 2.5)
        if how == "one after another":
            await start
        said: dict[str, Any] = {
            "started_at": NOW + 2,
            "steps": [Step(at=NOW + 2, what="spawned", detail=PROCESS)],
        }
        end = finish(store, lease.key, code, reason, now=NOW + 9, at=NOW + 8, **said)
        assert (await end).job_state is not JobState.RUNNING
        if how != "by the end alone":
            assert (await start).job_state is JobState.RUNNING
        found.append(await _rows(store, lease.key.job))
        assert await store.check() == []
        await store.close()
    assert found[0] == found[1] == found[2]


async def test_what_looks_between_a_start_and_its_end_sees_the_start(sqlite_store: Store) -> None:
    store = sqlite_store
    lease = await offered(store)
    await store.record("a", Accepted(lease.key), NOW + 1)
    start = store.record("a", Running(lease.key, 42, NOW + 2), NOW + 2.5)

    def look(tx: ports.Transaction) -> tuple[object, ...]:
        row = tx.one(snapshots._SNAPSHOT, {"at_job": lease.key.job, "at_number": 1})
        assert row is not None
        return row.state, row.attempt_state, row.started_at

    seen = store._database.write(look)
    stranger = store.record("b", Finished(lease.key, ended(lease.key)), NOW + 3)
    again = store.record("a", Running(lease.key, 42, NOW + 2), NOW + 3)
    end = finish(store, lease.key, 0, now=NOW + 9, at=NOW + 8)
    assert (await end).job_state is JobState.SUCCEEDED
    assert (await start).job_state is (await again).job_state is JobState.RUNNING
    assert await seen == ("running", "running", NOW + 2)
    with pytest.raises(Stale):
        await stranger
    assert [event.what for event in await store.timeline(lease.key.job)].count("started") == 1


async def test_a_refused_end_loses_no_start(sqlite_store: Store) -> None:
    lease = await offered(sqlite_store)
    await sqlite_store.record("a", Accepted(lease.key), NOW + 1)
    start = sqlite_store.record("a", Running(lease.key, 42, NOW + 2), NOW + 2.5)
    stranger = sqlite_store.record("b", Finished(lease.key, ended(lease.key)), NOW + 3)
    with pytest.raises(Stale):
        await stranger
    await start
    job = await sqlite_store.job(lease.key.job)
    assert (job.state, job.started_at) == (JobState.RUNNING, NOW + 2)


async def test_a_short_job_is_written_once_for_its_start_and_end(sqlite_store: Store) -> None:
    said: list[str] = []
    lease, second = await offered(sqlite_store), await offered(sqlite_store)
    await sqlite_store.record("a", Accepted(lease.key), NOW + 1)
    connection = sqlite_store._database._connection  # type: ignore[attr-defined]
    connection.set_trace_callback(said.append)
    start = sqlite_store.record("a", Running(lease.key, 42, NOW + 2), NOW + 2.5)
    other = sqlite_store.record("a", Accepted(second.key), NOW + 3)
    await finish(sqlite_store, lease.key, 0, now=NOW + 9, at=NOW + 8)
    connection.set_trace_callback(None)
    assert start.done() and other.done()
    updates = [text for text in said if text.startswith("UPDATE")]
    assert [text.split()[1] for text in updates] == ["attempts", "attempts", "jobs"]
