"""A server on PostgreSQL, with real processes: taken over by another one; and its commands."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_protocol.api.jobs import JobView
from remote_protocol.states import JobState
from tests.support.counter import Counter
from tests.support.databases import server
from tests.support.stack import BIN, Program, Stack, until
from tests.support.trees import files


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


def take_over(stack: Stack, folder: Path, logs: bool) -> None:
    """Kill the server while jobs run and another one stands by. Without `logs` it has those only
    that are packed."""
    command = [*stack.server.command[:-1], folder]
    other = Program("stand-by", command, stack.server.env, stack.root / "stand-by.out")
    before = some(stack, 2)
    for job in before:
        stack.client.wait(job, 60)
    kept = stack.data_dir / "logs"
    until(
        lambda: logs or not any(path.suffix == ".log" for path in files(kept)),
        "what has ended is packed",
    )
    counter = Counter(stack)
    jobs = some(stack, 8, 2)
    try:
        other.start()
        until(lambda: "stands by" in other.log.read_text(), "it stands by")
        assert stack.server.running
        token = stack.admin_token
        stack.server.kill()
        until(lambda: "server listens" in other.log.read_text(), "it has taken over")
        assert stack.admin_token == token, "the database's tokens are what they were"
        counter.finish()
        ended_once(stack, before + jobs, logs)
        for job in before:
            assert stack.client.log(job).count(b"\n") == 20
        # The former one comes back, and stands by.
        stack.server.start()
        until(lambda: stack.server.log.read_text().count("stands by") == 1, "it stands by now")
        assert stack.server.stop() == 0, "a signal ends it while it stands by"
    finally:
        if other.running:
            other.stop()


def test_a_stand_by_takes_over_with_jobs_running(stack: Stack) -> None:
    take_over(stack, stack.data_dir, logs=True)


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
