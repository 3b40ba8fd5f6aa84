"""An older backup is restored under agents that know more, with real processes."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_protocol.api.jobs import JobView
from remote_protocol.states import EndReason, JobState
from tests.support.stack import BIN, Stack, says, until

CURE = "so it is not started again by itself: remotectl job retry"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A server, killed and put back to an older state by the tests."""
    with Stack(tmp_path) as found:
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


def gated(stack: Stack, word: str, gate: str, **fields: object) -> JobView:
    """One that goes on until its gate is open, and says that it has."""
    wait = f"echo on; while [ ! -e {stack.root}/{gate} ]; do sleep 0.05; done"
    return counted(stack, word, f'{wait}; echo "{word} over" >> {stack.root}/effects', **fields)


def pause(stack: Stack, name: str) -> None:
    stack.agents[name].cli("pause")
    until(lambda: not stack.client.agent(name).condition.accepting, "it is paused")


def is_lost(stack: Stack, job: JobView) -> JobView:
    found = stack.reaches(job.id, JobState.FAILED)
    assert found.end_reason is EndReason.LOST
    return found


def is_ended(stack: Stack, job: JobView) -> None:
    """The restoration has ended it, with cause and cure."""
    assert (is_lost(stack, job).end_detail or "").endswith(f"{CURE} {job.id}")


def counts(**numbers: int) -> list[str]:
    """As the server's log has them."""
    return [f'"{name}": {number},' for name, number in numbers.items()]


def test_what_may_have_run_is_not_started_again(stack: Stack) -> None:
    agent = stack.agent("a")
    going = gated(stack, "going", "go")
    gone = gated(stack, "gone", "stop", max_attempts=3)
    for job in (going, gone):
        stack.reaches(job.id, JobState.RUNNING)
        stack.prints(job.id, b"on")
    pause(stack, "a")
    silent = counted(stack, "silent")
    late = gated(stack, "late", "go")
    never = counted(stack, "never", labels={"host": "none"})
    older = backup(stack, "older.tar")
    agent.cli("resume")
    stack.reaches(silent.id, JobState.SUCCEEDED)
    stack.reaches(late.id, JobState.RUNNING)
    # Of more output than a window: somebody has to acknowledge it, or it never ends.
    much = f"head -c 5000000 /dev/zero | tr '\\0' x; echo 'stray out' >> {stack.root}/effects"
    wait = f"while [ ! -e {stack.root}/go ]; do sleep 0.05; done"
    stray = counted(stack, "stray", f"{wait}; {much}")
    stack.reaches(stray.id, JobState.RUNNING)
    (stack.root / "stop").touch()
    stack.reaches(gone.id, JobState.SUCCEEDED)
    until(lambda: len(effects(stack)) == 6, "all have said that they run")
    ran = effects(stack)

    restore(stack, older)
    stack.online("a")
    # What waited in the copy has ended, whether it ran since or not.
    for job in (silent, late, never):
        is_ended(stack, job)
    # What was held goes on with its agent, or is lost with it, and no other attempt is made.
    assert stack.reaches(going.id, JobState.RUNNING).attempt == 1
    assert "came back without it" in (is_lost(stack, gone).end_detail or "")
    for job in (going, gone):
        assert "restored" in [entry.what for entry in stack.client.timeline(job.id)]
    # What the database cannot know is named, and runs to its end.
    words = stack.server.words()
    says(
        words,
        "restored from an older copy",
        *counts(ended=3, left_to_agents=2, offers_taken_back=0),
    )
    for job in (late, stray):
        assert words.count(f"{job.id}.1") == 1
    (stack.root / "go").touch()
    found = stack.reaches(going.id, JobState.SUCCEEDED)
    assert (found.attempt, stack.client.log(going.id)) == (1, b"on\n")
    until(lambda: {"late over", "stray out"} <= {*effects(stack)}, "they end by themselves")
    until(lambda: not json.loads(agent.cli("status", "--output", "json").stdout)["attempts"])
    is_ended(stack, late)
    assert effects(stack) == sorted([*ran, "going over", "late over", "stray out"])

    # The cure.
    again = stack.ctl("job", "retry", silent.id, check=True).stdout.decode().strip()
    assert stack.reaches(again, JobState.SUCCEEDED).attempt == 1
    assert effects(stack).count("silent 1") == 2


def test_an_offer_of_the_copy_is_taken_back(stack: Stack) -> None:
    agent = stack.agent("a")
    agent.send(signal.SIGSTOP)
    job = gated(stack, "job", "go", max_attempts=3)
    stack.reaches(job.id, JobState.ASSIGNED)
    older = backup(stack, "older.tar")
    agent.send(signal.SIGCONT)
    stack.reaches(job.id, JobState.RUNNING)
    restore(stack, older)
    stack.online("a")
    is_ended(stack, job)
    says(stack.server.words(), *counts(ended=1, left_to_agents=0, offers_taken_back=1))
    (stack.root / "go").touch()
    until(lambda: "job over" in effects(stack), "it ends by itself")
    is_ended(stack, job)
    assert effects(stack) == ["job 1", "job over"]


def test_jobs_run_where_the_operator_knows_that_nothing_ran(tmp_path: Path) -> None:
    """And never with a number that was given before, in case it did."""
    with Stack(tmp_path, JOBS_AFTER_RESTORE="run") as stack:
        stack.start_server()
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
    pause(stack, "a")
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
    is_ended(stack, job)
    assert stack.client.log(ended.id) == b"out\n"
    assert stack.run("echo later").attempt == 1
    assert effects(stack) == ["job 1"]
