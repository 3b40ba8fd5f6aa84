"""One job on many agents: real agents, of which one is killed in between, and limits that hold
whoever has gone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from remote_protocol.api.groups import GroupState
from remote_protocol.api.jobs import JobView
from remote_protocol.states import JobState
from tests.support.stack import Stack, says, until

AGENTS = ("db-1", "web-1", "web-2")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server with three agents."""
    with Stack(tmp_path_factory.mktemp("fleet"), AGENTS_HEARTBEAT_INTERVAL="1s") as stack:
        stack.start_server()
        for name in AGENTS:
            stack.agent(name, "--label", f"role={name[:-2]}")
        yield stack


def jobs(stack: Stack, group: str) -> list[JobView]:
    """The members, as jobs, in the order of their starts."""
    found = [stack.client.job(one.job) for one in stack.client.group(group).members]
    return sorted(found, key=lambda job: job.started_at or job.created_at)


def ended(stack: Stack, group: str) -> Any:
    """The group once it has ended."""

    def look() -> Any:
        found = stack.client.group(group)
        return found if found.ended_at is not None else None

    return until(look, f"group {group} ends")


def test_every_agent_runs_it_and_every_line_names_its_agent(fleet: Stack) -> None:
    script = r"echo on $REMOTE_AGENT; echo bad >&2; printf '\377\n'; printf end"
    done = fleet.ctl("run", "--each", "--shell", "sh", "--", script)
    assert done.returncode == 0, done.stderr
    wanted = []
    for name in AGENTS:
        prefix = f"{name:<5} | ".encode()
        wanted += [prefix + f"on {name}".encode(), prefix + b"\xff", prefix + b"end"]
    assert sorted(done.stdout.splitlines()) == sorted(wanted)
    says(done.stderr.decode(), "3 agents", "db-1  | bad", "succeeded: 3 succeeded")
    rows = [line.split()[:3] for line in done.stderr.decode().splitlines()]
    assert ["db-1", "succeeded", "0"] in rows


def test_labels_choose_and_one_failure_is_the_exit_code(fleet: Stack) -> None:
    script = "[ $REMOTE_AGENT = web-1 ] && exit 3; exit 0"
    done = fleet.ctl("run", "--each", "--label", "role=web", "--shell", "sh", "--", script)
    assert done.returncode == 1
    says(done.stderr.decode(), "2 agents", "failed: 1 succeeded, 1 failed", "exited with code 3")
    assert "db-1" not in done.stderr.decode()
    none = fleet.ctl("run", "--each", "--label", "role=none", "--", "true")
    assert none.returncode == 125
    says(none.stderr.decode(), "no agent serves queue 'default' and has role=none")


def test_so_many_at_a_time(fleet: Stack) -> None:
    done = fleet.ctl(
        "run", "--each", "--max-parallel", "1", "--output", "json", "--", "sleep", "0.4"
    )
    assert done.returncode == 0, done.stderr
    group = fleet.client.groups(limit=1).items[0]
    found = jobs(fleet, group.id)
    assert len(found) == 3
    for one, following in pairwise(found):
        assert one.ended_at and following.started_at
        assert one.ended_at <= following.started_at, "they overlap"


def test_failures_halt_the_rest(fleet: Stack) -> None:
    done = fleet.ctl(
        "run", "--each", "--max-parallel", "1", "--halt-on-failures", "1", "--", "false"
    )
    assert done.returncode == 1
    says(done.stderr.decode(), "1 failed, 2 cancelled", "halt_on_failures 1")
    group = fleet.client.groups(limit=1).items[0]
    assert group.state is GroupState.FAILED and group.halted_at is not None
    assert [job.attempt for job in jobs(fleet, group.id)].count(0) == 2


def test_ctrl_c_ends_all_of_them(fleet: Stack) -> None:
    process = fleet.ctl_start("run", "--each", "--shell", "sh", "--", "echo up; exec sleep 60")
    assert process.stdout is not None
    for _ in AGENTS:
        assert process.stdout.readline().endswith(b"up\n")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    says(err.decode(), "cancelling the group", "cancelled: 3 cancelled")


def test_it_goes_on_without_its_submitter_and_after_a_restart_of_the_server(
    fleet: Stack,
) -> None:
    process = fleet.ctl_start(
        "run", "--each", "--max-parallel", "1", "--shell", "sh", "--", "echo up; sleep 1"
    )
    assert process.stdout is not None
    assert process.stdout.readline().endswith(b"up\n")
    process.kill()
    process.communicate()
    fleet.server.kill()
    fleet.start_server()
    group = fleet.client.groups(limit=1).items[0].id
    assert ended(fleet, group).state is GroupState.SUCCEEDED
    for one, following in pairwise(jobs(fleet, group)):
        assert one.ended_at and following.started_at
        assert one.ended_at <= following.started_at, "they overlap"


def test_an_agent_that_is_away_gets_its_job_when_it_is_back(fleet: Stack) -> None:
    fleet.agents["db-1"].kill()
    until(lambda: fleet.client.agent("db-1").state == "offline", "db-1 is offline")
    process = fleet.ctl_start("run", "--each", "--max-parallel", "1", "--", "echo", "hi")
    assert process.stderr is not None
    head = process.stderr.readline().decode()
    says(head, "3 agents, of which 1 takes no jobs now: db-1 (offline)")
    says(process.stderr.readline().decode(), "--online-only", "--expires-in")

    def others_are_done() -> bool:
        group = fleet.client.groups(limit=1).items[0]
        return group.counts[JobState.SUCCEEDED] == 2

    until(others_are_done, "the others do not wait for it")
    assert process.poll() is None
    job = next(job for job in jobs(fleet, fleet.client.groups(limit=1).items[0].id)
               if job.state is JobState.QUEUED)  # fmt: skip
    assert job.pending_reason == "agent 'db-1' is offline"
    fleet.agents["db-1"].start()
    fleet.online("db-1")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert sorted(out.splitlines()) == [f"{name:<5} | hi".encode() for name in AGENTS]


def test_agents_that_are_away_are_left_out_on_demand(fleet: Stack) -> None:
    fleet.ctl("agent", "pause", "web-2", "--comment", "disk", check=True)
    try:
        done = fleet.ctl("run", "--each", "--online-only", "--", "true")
        assert done.returncode == 0
        says(done.stderr.decode(), "2 agents", "succeeded: 2 succeeded")
        found = fleet.ctl("run", "--each", "--explain", "--", "true")
        says(found.stdout.decode(), "3 agents, of which 1 takes no jobs now: web-2 (", "disk")
    finally:
        fleet.ctl("agent", "resume", "web-2", check=True)


def test_an_agent_that_dies_amid_its_job_loses_no_line(fleet: Stack) -> None:
    script = "echo one; sleep 3; echo two"
    process = fleet.ctl_start("run", "--each", "--shell", "sh", "--", script)
    assert process.stdout is not None
    first = [process.stdout.readline() for _ in AGENTS]
    fleet.agents["web-1"].kill()
    fleet.agents["web-1"].start()
    rest, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    lines = sorted([line.strip() for line in (*first, *rest.splitlines())])
    assert lines == sorted(
        f"{name:<5} | {word}".encode() for name in AGENTS for word in ("one", "two")
    )


def test_a_group_is_watched_by_its_own_commands(fleet: Stack) -> None:
    group = fleet.ctl("run", "--each", "--detach", "--", "sleep", "60", check=True)
    name = group.stdout.decode().strip()
    shown = fleet.ctl("group", "show", name, check=True).stdout.decode()
    says(shown, "3: ", *AGENTS)
    assert fleet.ctl("group", "cancel", name, "--reason", "enough").returncode == 0
    assert fleet.ctl("group", "wait", name).returncode == 130
    listed = fleet.ctl("job", "list", "--group", name, "--state", "cancelled", "-q", check=True)
    assert len(listed.stdout.splitlines()) == 3
    assert name in fleet.ctl("group", "list", "-q", check=True).stdout.decode()
