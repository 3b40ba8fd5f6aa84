"""Logs from the server: while a task runs, read on; afterwards, all of it."""

from __future__ import annotations

from typing import Any

from remote_airflow.executor import RemoteExecutor
from remote_airflow.logs import FinishedLogs

from .conftest import FakeServer, Instance, run, until, workload

LINE = b'{"event":"hello"}\n'


def dispatched(executor: Any, server: FakeServer) -> tuple[Any, str]:
    work = workload("t")
    (dispatch,) = run(executor, work)
    until(lambda: dispatch in server.keys, "it is submitted")
    return work, dispatch


def test_a_running_log_is_read_on(executor: Any, server: FakeServer) -> None:
    work, dispatch = dispatched(executor, server)
    job = server.keys[dispatch]
    ti = Instance(work, dispatch)
    reader = RemoteExecutor(parallelism=1)  # as the api-server has it, never started
    sources, lines = reader.get_task_log(ti, 1)
    assert f"/jobs/{job}" in sources[0] and lines == []
    server.logs[job] = LINE + b'{"event":"half'
    assert reader.get_task_log(ti, 1)[1] == [LINE.decode()]
    server.logs[job] += b' and whole"}\n'
    calls = len(server.calls)
    assert reader.get_task_log(ti, 1)[1] == [server.logs[job].decode()]
    assert server.calls[calls:] == [f"GET /api/v1/jobs/{job}/log"], "one call, from where it was"


def test_a_job_that_is_not_there_yet_is_looked_for_again(executor: Any, server: FakeServer) -> None:
    work = workload("t")
    ti = Instance(work, "x")
    reader = RemoteExecutor(parallelism=1)
    assert reader.get_task_log(ti, 1) == (["The remote-server has no job of this task yet."], [])
    (dispatch,) = run(executor, work)
    until(lambda: dispatch in server.keys, "it is submitted")
    assert f"/jobs/{server.keys[dispatch]}" in reader.get_task_log(ti, 1)[0][0]


def test_jobs_of_a_task_that_runs_are_looked_up_when_it_has_another(
    executor: Any, server: FakeServer
) -> None:
    work, dispatch = dispatched(executor, server)
    server.move(dispatch, "running")
    server.logs[server.keys[dispatch]] = LINE
    reader = RemoteExecutor(parallelism=1)

    def asked(dispatched_as: str, seconds_later: float) -> list[str]:
        calls = len(server.calls)
        for logs in reader._logs.values():
            for growing in logs._known.values():
                growing.looked_at -= seconds_later
        assert reader.get_task_log(Instance(work, dispatched_as), 1)[1] == [LINE.decode()]
        return [call for call in server.calls[calls:] if call.endswith("/jobs")]

    assert asked(dispatch, 0) == ["GET /api/v1/jobs"]
    assert asked(dispatch, 30) == [], "one request, as long as the task runs"
    assert asked("another", 0) == ["GET /api/v1/jobs"], "it was deferred, and goes on"
    assert asked("another", 61) == ["GET /api/v1/jobs"]
    server.move(dispatch, "succeeded")
    assert asked("third", 0) == ["GET /api/v1/jobs"]
    assert asked("third", 6) == ["GET /api/v1/jobs"], "its next job may come at any time"


def test_a_running_log_is_bounded(executor: Any, server: FakeServer, monkeypatch: Any) -> None:
    monkeypatch.setenv("AIRFLOW__REMOTE__RUNNING_LOG_LIMIT", "65536")
    work, dispatch = dispatched(executor, server)
    server.logs[server.keys[dispatch]] = LINE * 20_000
    _, (text,) = RemoteExecutor(parallelism=1).get_task_log(Instance(work, dispatch), 1)
    assert 65_000 < len(text) < 66_000 and "The log goes on" in text.splitlines()[-1]


def test_without_the_server_it_is_said(executor: Any, server: FakeServer) -> None:
    work, dispatch = dispatched(executor, server)
    server.away = True
    sources, lines = RemoteExecutor(parallelism=1).get_task_log(Instance(work, dispatch), 1)
    assert "cannot be read" in sources[0] and lines == []


def test_a_finished_log_is_whole_and_of_its_own_try(executor: Any, server: FakeServer) -> None:
    work, dispatch = dispatched(executor, server)
    server.move(dispatch, "succeeded")
    server.logs[server.keys[dispatch]] = LINE * 3 + b"no end"
    ti, path = Instance(work, dispatch, "success"), work.log_path
    logs = FinishedLogs()
    sources, (lines,) = logs.stream(path, ti)
    assert list(lines) == [LINE.decode()] * 3 + ["no end\n"]
    assert f"/jobs/{server.keys[dispatch]}" in sources[0]
    assert logs.read(path, ti)[1] == ["".join([LINE.decode()] * 3 + ["no end\n"])]
    ti.try_number = 2
    assert next(iter(logs.stream(path, ti)[1][0])) == LINE.decode(), "the first try's"
    assert logs.stream(path.replace("attempt=1", "attempt=2"), ti) == ([], [])


def test_while_it_runs_only_the_executor_gives_it(executor: Any, server: FakeServer) -> None:
    work, dispatch = dispatched(executor, server)
    server.logs[server.keys[dispatch]] = LINE
    assert FinishedLogs().stream(work.log_path, Instance(work, dispatch)) == ([], [])
