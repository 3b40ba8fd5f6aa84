"""A server on PostgreSQL, with real processes: killed, cut off, taken over; and its commands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.api.jobs import JobView
from remote_protocol.states import JobState
from tests.e2e.test_faults import Counter
from tests.support.databases import server
from tests.support.postgresql import PASSWORD, database_of
from tests.support.stack import BIN, Program, Stack, until


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A server on a fresh database, with one agent."""
    url = server().create_database()
    with Stack(tmp_path, DATABASE=url, AGENTS_HEARTBEAT_INTERVAL="0.5s") as stack:
        stack.start_server()
        stack.agent("a", capacity=8)
        yield stack


def database(stack: Stack) -> str:
    return stack.server.env["REMOTE_SERVER_DATABASE"]


def ended_once(stack: Stack, jobs: list[str], logs: bool = True) -> None:
    """Every job succeeded, at its first attempt, and its one end is in the timeline once; what it
    printed is there, byte for byte."""
    for job in jobs:
        view: JobView = stack.client.wait(job, 60)
        assert (view.state, view.attempt) == (JobState.SUCCEEDED, 1), view.end_detail
        ends = [e for e in stack.client.timeline(job) if e.state and e.state.terminal]
        assert len(ends) == 1
        number = int(view.name or "")
        assert not logs or stack.client.log(job) == b"".join(
            b"%d-%d\n" % (number, n) for n in range(20)
        )
    if logs:
        checked = cli(stack, "check")
        assert checked.returncode == 0, checked.stdout


def some(stack: Stack, count: int, first: int = 0) -> list[str]:
    """Jobs that take a second and print 20 lines."""
    script = "i=0; while [ $i -lt 20 ]; do echo $N-$i; i=$((i+1)); sleep 0.03; done"
    numbers = range(first, first + count)
    return [stack.submit(script, env={"N": str(n)}, name=str(n)).id for n in numbers]


def cli(stack: Stack, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    """A command of `remote-server` on the stack's database and data directory."""
    return subprocess.run(
        [BIN / "remote-server", *map(str, arguments), "--data-dir", stack.data_dir],
        env={**stack.server.env, **env}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_jobs_go_through_kills_of_postgresql(stack: Stack) -> None:
    counter = Counter(stack)
    jobs = some(stack, 12)
    for _ in range(2):
        server().kill()
        server().start()
        until(lambda: stack.client.job(counter.job.id), "the server answers again")
    jobs += some(stack, 4, 12)
    counter.finish()
    ended_once(stack, jobs)
    assert stack.server.running, "it lived through all of it"


def test_jobs_go_through_cut_connections(stack: Stack) -> None:
    jobs = some(stack, 12)
    for _ in range(12):
        server().cut(database_of(database(stack)))
        until(stack.client.jobs, "the server answers again")
    ended_once(stack, jobs)


def test_jobs_go_through_kills_of_the_server(stack: Stack) -> None:
    counter = Counter(stack)
    jobs = some(stack, 12)
    for _ in range(2):
        stack.server.kill()
        stack.start_server()
    counter.finish()
    ended_once(stack, jobs)


@pytest.mark.parametrize("shared", [True, False], ids=["one directory", "two directories"])
def test_a_stand_by_takes_over_with_jobs_running(stack: Stack, shared: bool) -> None:
    folder = stack.data_dir if shared else stack.root / "other"
    command = [*stack.server.command[:-1], folder]
    other = Program("stand-by", command, stack.server.env, stack.root / "stand-by.out")
    before = some(stack, 2) if shared else []
    for job in before:
        stack.client.wait(job, 30)
    counter = Counter(stack)
    jobs = some(stack, 8, 2)
    try:
        other.start()
        until(lambda: "stands by" in other.words(), "it stands by")
        assert stack.server.running
        token = stack.admin_token
        stack.server.kill()
        until(lambda: "server listens" in other.words(), "it has taken over")
        assert stack.admin_token == token, "the database's tokens are what they were"
        counter.finish()
        # In a directory of its own it has no logs of jobs that ended before.
        ended_once(stack, before + jobs, logs=shared)
        # The former one comes back, and stands by.
        stack.server.start()
        until(lambda: stack.server.words().count("stands by") == 1, "it stands by now")
        assert stack.server.stop() == 0, "a signal ends it while it stands by"
    finally:
        if other.running:
            other.stop()


def test_a_server_that_missed_another_one_ends(stack: Stack) -> None:
    """Stopped for so long that its connection was cut and another one was at work."""
    import signal

    jobs = some(stack, 4)
    stack.server.send(signal.SIGSTOP)
    server().cut(database_of(database(stack)))
    command = [*stack.server.command[:-1], stack.root / "other"]
    command[command.index("--listen") + 1] = "127.0.0.1:0"
    other = Program("other", command, stack.server.env, stack.root / "other.out").start()
    until(lambda: "server listens" in other.words(), "it has taken over")
    other.stop()
    stack.server.send(signal.SIGCONT)
    assert stack.server.wait(30) == 1
    assert "another server has worked with" in stack.server.words()
    assert "Traceback" not in stack.server.words()
    stack.start_server()
    ended_once(stack, jobs)


def test_the_password_is_seen_nowhere(tmp_path: Path) -> None:
    url = server().create_database(owner="careful")
    secret = url.replace("careful@", f"careful:{PASSWORD}@")
    with Stack(tmp_path, DATABASE=secret, LOG_LEVEL="debug") as stack:
        stack.start_server()
        stack.agent("a")
        assert stack.run("echo hi").state is JobState.SUCCEEDED
        server().cut(database_of(url))
        until(stack.client.jobs, "the server answers again")
        arguments = Path(f"/proc/{stack.server.pid}/cmdline").read_bytes()
        assert PASSWORD.encode() not in arguments
        refused = subprocess.run(
            [BIN / "remote-server", "check", "--database", secret],
            capture_output=True, text=True, env=stack.env(), timeout=30, check=False,
        )  # fmt: skip
        assert refused.returncode == 2
        assert "REMOTE_SERVER_DATABASE" in refused.stderr
        for text in (refused.stderr, refused.stdout, stack.server.log.read_text()):
            assert PASSWORD not in text
        for file in stack.root.rglob("*"):
            if file.is_file():
                assert PASSWORD.encode() not in file.read_bytes(), file
        wrong = cli(stack, "check", REMOTE_SERVER_DATABASE=secret.replace(PASSWORD, "wrong-word"))
        assert wrong.returncode == 2
        assert "wrong-word" not in wrong.stderr
        assert "PGPASSWORD" in wrong.stderr
        assert "Traceback" not in wrong.stderr
        given = cli(stack, "check", REMOTE_SERVER_DATABASE=url, PGPASSWORD=PASSWORD)
        assert given.returncode == 0, given.stderr


def test_the_commands(stack: Stack, tmp_path: Path) -> None:
    job = stack.run("echo kept")
    assert cli(stack, "check").stdout == "sound: 1 jobs\n"
    made = cli(stack, "token", "create", "--role", "viewer", "--name", "v", "--output", "json")
    viewer = json.loads(made.stdout)["token"]
    assert stack.ctl("job", "list", token=viewer).returncode == 0
    busy = cli(stack, "migrate")
    assert busy.returncode != 0
    assert "stop it first" in busy.stderr
    refused = cli(stack, "backup", tmp_path / "copy.tar")
    assert refused.returncode == 1
    assert "pg_dump" in refused.stderr and "--no-database" in refused.stderr
    assert not (tmp_path / "copy.tar").exists()
    rest = tmp_path / "rest.tar.gz"
    assert cli(stack, "backup", "--no-database", rest).returncode == 0
    listed = subprocess.run(["tar", "tzf", rest], capture_output=True, text=True, check=True)
    assert f"{job.id}" in listed.stdout
    stack.server.stop()
    assert cli(stack, "migrate").stdout == "nothing to do\n"
    assert cli(stack, "check", "--repair").stdout == "sound: 1 jobs\n"


def test_a_dump_that_is_restored_is_recognised(stack: Stack, tmp_path: Path) -> None:
    """Jobs that the copy does not know are told by their agents, as after any restoration."""
    done = stack.run("echo before")
    waiting = stack.submit("exec sleep 60").id
    stack.reaches(waiting, JobState.RUNNING)
    copy = server().copy_database(database(stack))
    later = stack.run("echo later")
    stack.server.stop()
    os.environ.pop("REMOTE_SERVER_DATABASE", None)
    stack.server.env["REMOTE_SERVER_DATABASE"] = copy
    stack.start_server()
    stack.online("a")
    assert "restored from an older copy" in stack.server.words()
    assert stack.client.job(done.id).state is JobState.SUCCEEDED
    stack.reaches(waiting, JobState.RUNNING)
    with pytest.raises(Exception, match="no job"):
        stack.client.job(later.id)
    stack.client.cancel(waiting)
    assert stack.client.wait(waiting, 20).state is JobState.CANCELLED


def test_an_answer_says_that_the_database_is_away(stack: Stack) -> None:
    server().admin(f"ALTER DATABASE {database_of(database(stack))} ALLOW_CONNECTIONS false")
    server().cut(database_of(database(stack)))

    def said() -> Any:
        done = stack.ctl("run", "--detach", "--", "true", REMOTE_RETRY_FOR="0")
        return done.stderr if done.returncode else None

    text = until(said, "submits are refused")
    assert b"database" in text
    server().admin(f"ALTER DATABASE {database_of(database(stack))} ALLOW_CONNECTIONS true")
    until(stack.client.jobs, "the server answers again")
    assert stack.run("true").state is JobState.SUCCEEDED
