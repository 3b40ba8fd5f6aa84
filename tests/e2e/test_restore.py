"""An older backup is restored under agents that know more, with real processes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_protocol.api.jobs import JobView
from remote_protocol.states import JobState
from tests.support.stack import BIN, Stack, until

GRACE = "4s"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A server that gives agents a short time after a restoration."""
    settings = {"AGENTS_HEARTBEAT_INTERVAL": "0.5s", "AGENTS_RESTORE_GRACE": GRACE}
    with Stack(tmp_path, **settings) as found:
        found.start_server()
        yield found


def backup(stack: Stack, name: str) -> Path:
    """Copy the running server's data."""
    file = stack.root / name
    subprocess.run(
        [BIN / "remote-server", "backup", "--data-dir", stack.data_dir, file],
        env=stack.env(),
        check=True,
        capture_output=True,
    )
    return file


def restore(stack: Stack, file: Path) -> None:
    """Kill the server, put a backup in the place of its data, start it again."""
    stack.server.kill()
    token = (stack.data_dir / "admin-token").read_text()
    shutil.rmtree(stack.data_dir)
    stack.data_dir.mkdir()
    subprocess.run(["tar", "xf", file, "-C", stack.data_dir], check=True)
    (stack.data_dir / "admin-token").write_text(token)
    stack.start_server()


def counted(stack: Stack, word: str, then: str = "true", **fields: object) -> JobView:
    """A job that writes its number down outside of everything."""
    line = f'echo "{word} $REMOTE_ATTEMPT" >> {stack.root}/effects; {then}'
    return stack.submit(line, **fields)


def effects(stack: Stack) -> list[str]:
    file = stack.root / "effects"
    return sorted(file.read_text().splitlines()) if file.exists() else []


def test_nothing_runs_twice_and_nothing_is_destroyed(stack: Stack) -> None:
    agent = stack.agent("a")
    agent.cli("pause")
    until(lambda: not stack.client.agent("a").condition.accepting, "it is paused")
    silent = counted(stack, "silent")
    spoken = counted(stack, "spoken", "echo done; exit 0")
    failed = counted(stack, "failed", "echo bad >&2; exit 7")
    going = counted(stack, "going", f"echo on; while [ ! -e {stack.root}/go ]; do sleep 0.05; done")
    never = counted(stack, "never", queue="default", labels={"host": "none"})
    older = backup(stack, "older.tar")
    agent.cli("resume")
    for job in (silent, spoken):
        stack.reaches(job.id, JobState.SUCCEEDED)
    stack.reaches(failed.id, JobState.FAILED)
    stack.reaches(going.id, JobState.RUNNING)
    stack.prints(going.id, b"on")
    wait = f"while [ ! -e {stack.root}/go ]; do sleep 0.05; done"
    stray = counted(stack, "stray", f'{wait}; echo "stray over" >> {stack.root}/effects')
    stack.reaches(stray.id, JobState.RUNNING)
    ran = effects(stack)
    assert ran == ["failed 1", "going 1", "silent 1", "spoken 1", "stray 1"]

    restore(stack, older)
    stack.online("a")
    for job in (silent, spoken):
        found = stack.reaches(job.id, JobState.SUCCEEDED)
        assert (found.exit_code, found.attempt, found.agent) == (0, 1, "a")
    assert stack.reaches(failed.id, JobState.FAILED).exit_code == 7
    assert stack.client.log(spoken.id) == b"done\n"
    assert stack.reaches(going.id, JobState.RUNNING).attempt == 1
    assert stack.client.job(never.id).state is JobState.QUEUED
    assert "restored" in (stack.client.job(never.id).pending_reason or "")

    (stack.root / "go").touch()
    found = stack.reaches(going.id, JobState.SUCCEEDED)
    assert (found.attempt, stack.client.log(going.id)) == (1, b"on\n")
    # Its job is unknown, but nobody killed it.
    assert stray.id in stack.server.words()
    until(lambda: "stray over" in effects(stack), "the stray ends by itself")
    later = stack.run(f'echo "later $REMOTE_ATTEMPT" >> {stack.root}/effects')
    assert later.attempt == 1
    assert effects(stack) == sorted([*ran, "stray over", "later 1"])


def test_a_job_that_nobody_knows_of_gets_a_number_of_its_own(stack: Stack) -> None:
    job = counted(stack, "job")
    older = backup(stack, "older.tar.gz")
    agent = stack.agent("gone")
    stack.reaches(job.id, JobState.SUCCEEDED)
    agent.stop()
    for _ in range(2):
        restore(stack, older)
        stack.agents.pop("new", None)
        shutil.rmtree(stack.root / "agent-new", ignore_errors=True)
        fresh = stack.agent("new")
        stack.reaches(job.id, JobState.SUCCEEDED)
        fresh.stop()
    numbers = effects(stack)
    assert len(numbers) == len(set(numbers)) == 3
    what = [entry.what for entry in stack.client.timeline(job.id)]
    assert what[:2] == ["queued", "restored"]


def test_a_database_put_back_by_hand_is_noticed(stack: Stack) -> None:
    agent = stack.agent("a")
    ended = stack.run("echo out")
    agent.cli("pause")
    until(lambda: not stack.client.agent("a").condition.accepting, "it is paused")
    job = counted(stack, "job")
    assert stack.server.stop() == 0
    shutil.copy(stack.data_dir / "server.db", stack.root / "kept.db")
    stack.start_server()
    agent.cli("resume")
    stack.reaches(job.id, JobState.SUCCEEDED)
    stack.server.kill()
    for name in ("server.db-wal", "server.db-shm"):
        (stack.data_dir / name).unlink(missing_ok=True)
    shutil.copy(stack.root / "kept.db", stack.data_dir / "server.db")
    stack.start_server()
    stack.online("a")
    assert stack.reaches(job.id, JobState.SUCCEEDED).attempt == 1
    assert effects(stack) == ["job 1"]
    assert stack.client.log(ended.id) == b"out\n"
