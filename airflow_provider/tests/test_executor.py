"""The executor on Airflow's own base class, as a scheduler uses it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .conftest import FakeServer, Instance, run, told, until, workload


def test_a_task_is_submitted_followed_and_told_once(executor: Any, server: FakeServer) -> None:
    work = workload("t", priority_weight=5000)
    (dispatch,) = run(executor, work)
    key = work.ti.key
    assert key in executor.running and not executor.queued_tasks
    until(lambda: dispatch in server.keys, "it is submitted")
    job = server.job_of(dispatch)
    assert (job["queue"], job["priority"], job["max_attempts"]) == ("default", 1000, 1)
    assert json.loads(job["private_input"])["token"] == "eyJ-a-token"
    assert not re.search(r"eyJ\w", str({**job, "private_input": ""}))
    server.move(dispatch, "running")
    told(executor, key, "running")
    assert executor.get_event_buffer()[key] == ("running", dispatch), "the id stays as it was"
    server.move(dispatch, "succeeded", exit_code=0)
    told(executor, key, "success")
    assert key not in executor.running
    executor.get_event_buffer()
    for _ in range(3):
        executor.heartbeat()
    assert executor.get_event_buffer() == {}


def test_many_go_in_one_call_and_nobody_is_asked_for_each(
    executor: Any, server: FakeServer
) -> None:
    works = [workload(f"t{n}") for n in range(8)]
    dispatches = run(executor, *works)
    until(lambda: len(server.jobs) == 8, "all are submitted")
    for dispatch in dispatches:
        server.move(dispatch, "succeeded")
    for work in works:
        told(executor, work.ti.key, "success")
    posts = [call for call in server.calls if call.startswith("POST")]
    assert len(posts) <= 3 and not [call for call in server.calls if call.endswith("/jobs")]


def test_a_refused_task_fails_with_the_reason_and_others_run(
    executor: Any, server: FakeServer
) -> None:
    good, bad = workload("good"), workload("bad", queue="nowhere")
    dispatches = run(executor, good, bad)
    told(executor, bad.ti.key, "failed")
    assert "no queue 'nowhere'" in executor._task_event_logs[0].extra
    until(lambda: dispatches[0] in server.keys, "the other one is submitted")
    assert server.calls.count("POST /api/v1/jobs/batch") == 1, "one call is enough for both"


def test_tasks_that_are_too_large_together_go_one_by_one(executor: Any, server: FakeServer) -> None:
    server.most = 1
    works = [workload("a"), workload("bad", queue="nowhere"), workload("b")]
    dispatches = run(executor, *works)
    told(executor, works[1].ti.key, "failed")
    until(lambda: {dispatches[0], dispatches[2]} <= server.keys.keys(), "the others are submitted")


def test_faults_of_executor_config_are_said(executor: Any) -> None:
    work = workload("t", executor_config={"remote": {"colour": "red"}})
    run(executor, work)
    assert executor.event_buffer[work.ti.key][0] == "failed"
    assert "unknown options: colour" in executor._task_event_logs[0].extra


def test_an_end_of_a_former_dispatch_is_not_told(executor: Any, server: FakeServer) -> None:
    """A sensor that is rescheduled: the same key again while the former job still ends."""
    first = workload("sensor")
    (old,) = run(executor, first)
    until(lambda: old in server.keys, "the first is submitted")
    second = workload("sensor", id=str(first.ti.id))
    (new,) = run(executor, second)
    until(lambda: new in server.keys, "the second is submitted")
    server.move(old, "failed", exit_code=1)
    server.move(new, "running")
    told(executor, second.ti.key, "running")
    assert executor.get_event_buffer() == {second.ti.key: ("running", new)}
    assert server.cancelled == []
    server.move(new, "succeeded")
    told(executor, second.ti.key, "success")


def test_a_task_that_is_taken_back_is_cancelled_and_not_told(
    executor: Any, server: FakeServer
) -> None:
    work = workload("t")
    (dispatch,) = run(executor, work)
    until(lambda: dispatch in server.keys, "it is submitted")
    executor.revoke_task(ti=Instance(work, dispatch, "queued"))
    until(lambda: server.cancelled == [server.keys[dispatch]], "it is cancelled")
    server.move(dispatch, "cancelled")
    for _ in range(3):
        executor.heartbeat()
    assert work.ti.key not in executor.running and executor.get_event_buffer() == {}
    executor.revoke_task(ti=object())  # nothing of it is raised


def test_what_airflow_gave_up_without_a_word_is_cancelled(
    executor: Any, server: FakeServer
) -> None:
    work = workload("t")
    (dispatch,) = run(executor, work)
    until(lambda: dispatch in server.keys, "it is submitted")
    # As the scheduler does for a task without heartbeats.
    executor.change_state(work.ti.key, "failed")
    executor.heartbeat()
    until(lambda: server.cancelled == [server.keys[dispatch]], "its job is cancelled")


def test_what_the_server_does_not_take_waits(executor: Any, server: FakeServer) -> None:
    server.away = True
    with server.changed:
        server.changed.notify_all()
    works = [workload(f"t{n}") for n in range(3)]
    dispatches = run(executor, *works)
    for _ in range(5):
        executor.heartbeat()
    # Airflow 3.1 is told the ids that it has not given itself.
    assert {str(state) for state, _ in executor.get_event_buffer().values()} <= {"queued"}
    assert not server.jobs
    server.away = False
    until(lambda: len(server.jobs) == 3, "they are submitted", 30)
    for dispatch in dispatches:
        server.move(dispatch, "succeeded")
    for work in works:
        told(executor, work.ti.key, "success")


def test_an_answer_that_was_lost_makes_no_second_job(executor: Any, server: FakeServer) -> None:
    server.lose_answers = 2
    work = workload("t")
    (dispatch,) = run(executor, work)
    until(lambda: server.lose_answers == 0, "two answers were lost")
    server.move(dispatch, "succeeded")
    told(executor, work.ti.key, "success")
    assert len(server.jobs) == 1


def test_tasks_of_another_scheduler_are_adopted_once(executor: Any, server: FakeServer) -> None:
    from remote_airflow.executor import RemoteExecutor

    works = [workload(f"t{n}") for n in range(3)]
    dispatches = run(executor, *works)
    until(lambda: len(server.jobs) == 3, "they are submitted")
    server.move(dispatches[0], "succeeded")
    server.move(dispatches[1], "running")
    other = RemoteExecutor(parallelism=8)
    other.start()
    try:
        known = [Instance(work, one) for work, one in zip(works, dispatches, strict=True)]
        lost = Instance(workload("lost"), "never-submitted", "queued")
        unnamed = Instance(workload("unnamed"), None)
        assert other.try_adopt_task_instances([*known, lost, unnamed]) == [unnamed, lost]
        assert other.try_adopt_task_instances(known) == []
        told(other, works[0].ti.key, "success")
        assert other.running == {works[1].ti.key, works[2].ti.key}
        server.move(dispatches[2], "failed", exit_code=3)
        told(other, works[2].ti.key, "failed")
    finally:
        other.terminate()
    assert server.cancelled == []


def test_adoption_works_without_the_server(executor: Any, server: FakeServer) -> None:
    from remote_airflow.executor import RemoteExecutor

    works = [workload("there"), workload("not there")]
    (dispatch,) = run(executor, works[0])
    until(lambda: dispatch in server.keys, "it is submitted")
    server.away = True
    other = RemoteExecutor(parallelism=8)
    other.start()
    try:
        instances = [Instance(works[0], dispatch), Instance(works[1], "unknown", "queued")]
        assert other.try_adopt_task_instances(instances) == []
        assert len(other.running) == 2
        server.away = False
        told(other, works[1].ti.key, "failed")
        server.move(dispatch, "succeeded")
        told(other, works[0].ti.key, "success")
    finally:
        other.terminate()


def test_no_fault_of_ours_ends_the_scheduler(
    executor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    for name in ("add", "reports", "revoke", "adopt", "holds", "measures"):
        monkeypatch.setattr(executor._dispatches, name, broken)
    work = workload("t")
    run(executor, work)
    assert executor.event_buffer[work.ti.key][0] == "failed"
    executor.revoke_task(ti=Instance(work, "x"))
    assert executor.try_adopt_task_instances([Instance(work, "x")]) == []


def test_a_team_has_its_own_settings(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from remote_airflow.executor import RemoteExecutor

    monkeypatch.setenv("AIRFLOW__BLUE___REMOTE__URL", f"{server.url}/blue")
    monkeypatch.setenv("AIRFLOW__BLUE___REMOTE__TOKEN", "rpt_blue")
    blue = RemoteExecutor(parallelism=1, team_name="blue")
    assert blue.team_name == "blue"
    settings = blue._routes.own.settings()
    assert (settings.url, settings.bearer()) == (f"{server.url}/blue", "rpt_blue")
