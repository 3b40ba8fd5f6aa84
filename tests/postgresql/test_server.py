"""A server on PostgreSQL, killed, cut off, stopped for too long, restored: with real processes.

A target of its own, `make test-postgres`; the quick part of it is in tests/e2e/test_postgresql.py.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_protocol.states import JobState
from tests.e2e.test_postgresql import cli, database, ended_once, some, take_over
from tests.support.counter import Counter
from tests.support.databases import server
from tests.support.postgresql import PASSWORD, database_of
from tests.support.stack import BIN, Program, Stack, until
from tests.support.trees import contents


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A server on a fresh database, with one agent."""
    url = server().create_database()
    with Stack(tmp_path, DATABASE=url, AGENTS_HEARTBEAT_INTERVAL="0.5s") as stack:
        stack.start_server()
        stack.agent("a", capacity=8)
        yield stack


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


def test_a_server_that_missed_another_one_ends(stack: Stack) -> None:
    """Stopped for so long that its connection was cut and another one was at work."""
    jobs = some(stack, 4)
    stack.server.send(signal.SIGSTOP)
    server().cut(database_of(database(stack)))
    command = [*stack.server.command[:-1], stack.root / "other"]
    command[command.index("--listen") + 1] = "127.0.0.1:0"
    other = Program("other", command, stack.server.env, stack.root / "other.out").start()
    until(lambda: "server listens" in other.log.read_text(), "it has taken over")
    other.stop()
    stack.server.send(signal.SIGCONT)
    assert stack.server.wait(30) == 1
    assert "another server has worked with" in stack.server.log.read_text()
    assert "Traceback" not in stack.server.log.read_text()
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
            capture_output=True, text=True, env=stack.env(), timeout=60, check=False,
        )  # fmt: skip
        assert refused.returncode == 2
        assert "REMOTE_SERVER_DATABASE" in refused.stderr
        for text in (refused.stderr, refused.stdout, stack.server.log.read_text()):
            assert PASSWORD not in text
        for file, content in contents(stack.root):
            assert PASSWORD.encode() not in content, file
        wrong = cli(stack, "check", REMOTE_SERVER_DATABASE=secret.replace(PASSWORD, "wrong-word"))
        assert wrong.returncode == 2
        assert "wrong-word" not in wrong.stderr
        assert "PGPASSWORD" in wrong.stderr
        assert "Traceback" not in wrong.stderr
        given = cli(stack, "check", REMOTE_SERVER_DATABASE=url, PGPASSWORD=PASSWORD)
        assert given.returncode == 0, given.stderr


def test_a_dump_that_is_restored_is_recognised(stack: Stack, tmp_path: Path) -> None:
    """Jobs that the copy does not know are told by their agents, as after any restoration."""
    done = stack.run("echo before")
    waiting = stack.submit("exec sleep 60").id
    stack.reaches(waiting, JobState.RUNNING)
    copy = server().copy_database(database(stack))
    later = stack.run("echo later")
    stack.server.stop()
    stack.server.env["REMOTE_SERVER_DATABASE"] = copy
    stack.start_server()
    stack.online("a")
    assert "restored from an older copy" in stack.server.log.read_text()
    assert stack.client.job(done.id).state is JobState.SUCCEEDED
    stack.reaches(waiting, JobState.RUNNING)
    with pytest.raises(Exception, match="no job"):
        stack.client.job(later.id)
    stack.client.cancel(waiting)
    assert stack.client.wait(waiting, 60).state is JobState.CANCELLED


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


def test_a_stand_by_with_a_directory_of_its_own_has_the_logs_of_the_archive(stack: Stack) -> None:
    archive = stack.root / "archive"
    archive.mkdir()
    packing = {"ARCHIVE_DIR": str(archive), "PACK_AFTER": "1s", "PACK_ABOVE": "0"}
    stack.server.stop()
    stack.server.env |= {f"REMOTE_SERVER_LOGS_{key}": value for key, value in packing.items()}
    stack.start_server()
    stack.online("a")
    take_over(stack, stack.root / "other", logs=False)
