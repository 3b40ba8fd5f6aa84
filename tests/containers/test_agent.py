"""The agent's container: enrolment, jobs, kills, stops, restarts."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator

import pytest

from tests.containers.engine import until
from tests.containers.stack import NETWORK, URL, Stack, writer

LINES = 1000
STATE = "/var/lib/remote-agent"


@pytest.fixture(scope="module")
def agent(stack: Stack) -> Iterator[Stack]:
    """One agent, `alpha`, that enrolled by its environment."""
    began = time.monotonic()
    stack.agent("alpha", "--health-interval", "1s")
    print(f"\nfrom docker run to online: {time.monotonic() - began:.1f} s")
    yield stack
    stack.remove("alpha")


def test_jobs_run_and_their_output_is_whole(agent: Stack) -> None:
    seed = os.urandom(8).hex()
    script = (
        "i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $1 out $i; echo $1 err $i >&2; "
        "printf 'bytes \\001\\377 without end'; done"
    )
    job = agent.ctl("run", "--detach", "--agent", "alpha", "--", "sh", "-c", script, "-", seed)
    found = agent.ended(job.decode().strip())
    assert (found["state"], found["exit_code"]) == ("succeeded", 0), found
    out, err = (
        b"".join(
            f"{seed} {name} {i}\n".encode()
            + (b"bytes \1\xff without end" if name == "out" else b"")
            for i in range(1, 201)
        )
        for name in ("out", "err")
    )
    assert agent.log(found["id"]) == out
    assert agent.log(found["id"], "stderr") == err


def test_the_container_becomes_healthy(agent: Stack) -> None:
    until(lambda: agent.health("alpha") == "healthy", "the agent is healthy")
    agent.engine.call("exec", "alpha", "remote-agent", "status", "--check", "ready")


def test_no_job_can_read_the_registration_token(agent: Stack) -> None:
    script = (
        "wc -c </proc/1/environ; "
        "cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -a 'r[r]t_'; true"
    )
    found = agent.ended(agent.submit("alpha", script))
    lines = agent.log(found["id"]).splitlines()
    assert len(lines) == 1 and int(lines[0]) > 0, lines


def test_the_agent_uses_little_memory(agent: Stack) -> None:
    script = "for p in /proc/[0-9]*; do grep -s Pss: $p/smaps_rollup; done"
    lines = agent.engine.call("exec", "alpha", "sh", "-c", script).splitlines()
    total = sum(int(line.split()[1]) for line in lines) / 1024
    print(f"\nprocess 1, agent and warm shims: {total:.0f} MiB")
    assert total < 120


def test_a_killed_agent_is_started_again_and_its_job_runs_on(agent: Stack) -> None:
    job = agent.running(agent.submit("alpha", writer(LINES)))
    begun = agent.engine.inspect("alpha")["State"]["StartedAt"]
    for _ in range(2):
        pid = until(lambda: agent.process("alpha"), "the agent answers")
        assert pid > 1
        agent.engine.call("exec", "alpha", "sh", "-c", f"kill -9 {pid}")
        until(lambda: agent.process("alpha") not in (0, pid), "another agent answers")  # noqa: B023
    agent.is_whole(job, LINES)
    assert agent.engine.inspect("alpha")["State"]["StartedAt"] == begun


def test_no_zombie_is_left(agent: Stack) -> None:
    agent.engine.call("exec", "alpha", "sh", "-c", "(sleep 0.2; sleep 0.3) & (true) & exit 0")
    zombies = "cat /proc/[0-9]*/stat | grep -c ') Z ' || true"

    def counted() -> tuple[str, bool]:
        count = agent.engine.call("exec", "alpha", "sh", "-c", zombies)
        sleeps = "sleep" in agent.engine.call("exec", "alpha", "sh", "-c", "cat /proc/*/comm")
        return count, sleeps

    until(lambda: counted() == ("0", False), "orphans are waited for")


def test_a_stop_lets_jobs_finish(stack: Stack) -> None:
    stack.agent("drained")
    job = stack.running(stack.submit("drained", writer(LINES, 0.1)))
    stack.engine.call("stop", "-t", "60", "drained")
    assert stack.engine.inspect("drained")["State"]["ExitCode"] == 0, stack.engine.log("drained")
    stack.is_whole(job, LINES)
    until(lambda: (stack.shown("drained") or {}).get("state") == "offline", "it is offline")
    stack.remove("drained")


def test_what_a_stop_does_not_wait_for_is_lost_and_tried_again(stack: Stack) -> None:
    stack.agent("short", STOP_TIMEOUT="1s")
    job = stack.submit(
        "short", "echo here; [ $REMOTE_ATTEMPT = 2 ] || sleep 600", "--max-attempts", "2"
    )
    stack.running(job)
    stack.engine.call("stop", "-t", "60", "short")
    # Not 137, which is what the engine does after that minute.
    assert stack.engine.inspect("short")["State"]["ExitCode"] == 0
    until(lambda: stack.job(job)["state"] == "queued", "the server knows it")
    assert stack.job(job)["attempt"] == 1
    stack.engine.call("start", "short")
    found = stack.ended(job)
    assert (found["state"], found["attempt"]) == ("succeeded", 2), found
    stack.remove("short")


def test_a_volume_keeps_the_identity(stack: Stack) -> None:
    """A container that is killed, removed and made anew is the same agent, without a token."""
    volume = f"state-kept:{STATE}"
    stack.agent("kept", "-v", volume)
    installed = f"{STATE}/installation"
    before = stack.engine.call("exec", "kept", "cat", installed)
    job = stack.submit(
        "kept", "echo here; [ $REMOTE_ATTEMPT = 2 ] || sleep 600", "--max-attempts", "2"
    )
    stack.running(job)
    stack.engine.call("kill", "kept")  # with its process 1, its jobs end
    stack.engine.call("rm", "kept")
    stack.run_agent("kept", "-v", volume)
    stack.online("kept")
    assert stack.engine.call("exec", "kept", "cat", installed) == before
    found = stack.ended(job)
    assert (found["state"], found["attempt"]) == ("succeeded", 2), found
    assert stack.log(job) == b"here\n"
    stack.remove("kept")
    stack.engine.call("volume", "rm", "state-kept")


def test_an_ephemeral_agent_leaves_the_server(stack: Stack) -> None:
    words = ("run", "--ephemeral", "--once")
    stack.agent("brief", words=words)
    job = stack.ended(stack.submit("brief", "echo one"))
    assert stack.log(job["id"]) == b"one\n"
    assert stack.engine.call("wait", "brief") == "0"
    until(lambda: stack.shown("brief") is None, "the server has forgotten it")
    stack.remove("brief")


def test_a_stop_ends_an_agent_that_waits_for_its_server(stack: Stack) -> None:
    stack.run_agent("early", SERVER="http://127.0.0.1:1", TOKEN=stack.token())
    until(lambda: "trying again" in stack.engine.log("early"), "the agent waits")
    stack.engine.call("stop", "-t", "60", "early")
    # The engine did not have to kill it, after that minute.
    assert stack.engine.inspect("early")["State"]["ExitCode"] != 137
    stack.remove("early")


def test_a_user_range_keeps_jobs_from_the_agent(stack: Stack) -> None:
    """Root in the container, with the capabilities that an engine gives by default."""
    state = "/srv/agent"
    variables = {"SERVER": URL, "INSECURE": "1", "TOKEN": stack.token(), "STATE_DIR": state}
    variables["JOBS_USER_RANGE"] = "80000-80999"
    options = [f"--env=REMOTE_AGENT_{name}={value}" for name, value in variables.items()]
    place = ("--network", NETWORK, "--name", "apart", "--hostname", "apart")
    stack.engine.call("run", "-d", *place, "--user", "0", "-v", state, *options, "remote-agent")
    stack.online("apart")
    script = f"id -u; cat {state}/identity.json 2>&1 || true"
    found = stack.ended(stack.submit("apart", script))
    text = stack.log(found["id"]).decode()
    assert text.startswith("80") and "Permission denied" in text, text
    stack.remove("apart")


def test_volumes_as_clusters_mount_them(stack: Stack) -> None:
    """They belong to root, and the container's group may write to them."""
    volume = f"state-mounted:{STATE}"
    owned = f"mkdir {STATE}/lost+found; chown 0:10001 {STATE}; chmod 2775 {STATE}"
    stack.engine.call(
        "run",
        "--rm",
        "--user",
        "0",
        "-v",
        volume,
        "--entrypoint",
        "sh",
        "remote-agent",
        "-c",
        owned,
    )
    mounts = ("-v", volume, "--tmpfs=/run/remote-agent:uid=0,gid=10001,mode=2775")
    stack.agent(
        "mounted",
        *mounts,
        STATE_DIR=f"{STATE}/state",
        LIVENESS_FILE="/run/remote-agent/live",
        READINESS_FILE="/run/remote-agent/ready",
    )
    probe = 'find "$REMOTE_AGENT_READINESS_FILE" -mmin -1 | grep -q .'
    until(
        lambda: stack.engine.run("exec", "mounted", "sh", "-c", probe).returncode == 0,
        "the agent is ready",
    )
    found = stack.ended(stack.submit("mounted", "echo one"))
    assert stack.log(found["id"]) == b"one\n"
    said = stack.engine.call("exec", "mounted", "stat", "-c", "%u %g %a", STATE, f"{STATE}/state")
    assert said.splitlines()[0] == "0 10001 2775" and said.splitlines()[1].startswith("10001 ")
    stack.remove("mounted")
    stack.engine.call("volume", "rm", "state-mounted")


def test_output_of_a_megabyte_is_whole(agent: Stack) -> None:
    script = "head -c 1000000 /dev/urandom >f; sha256sum <f >&2; cat f"
    found = agent.ended(agent.submit("alpha", script))
    said = agent.log(found["id"], "stderr").split()[0].decode()
    assert hashlib.sha256(agent.log(found["id"])).hexdigest() == said
