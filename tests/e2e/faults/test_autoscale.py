"""The example that starts agents by the load of queues, on a real server with real agents."""

from __future__ import annotations

import sys
from pathlib import Path

from remote_protocol.states import JobState
from tests.support.stack import Program, Stack, says, until

AUTOSCALE = Path(__file__).resolve().parents[3] / "examples" / "autoscale.py"


def test_as_many_agents_as_the_queue_needs(stack: Stack) -> None:
    numbers = stack.root / "numbers"
    numbers.touch()
    note = ["sh", "-c", f"echo $0 >> {numbers}", "{agents}"]
    options = ["--queue", "default", "--max", "3", "--jobs-per-agent", "2"]
    command = [
        sys.executable,
        AUTOSCALE,
        *options,
        "--every",
        "1s",
        "--cooldown",
        "2s",
        "--",
        *note,
    ]
    env = stack.env(REMOTE_URL=stack.url, REMOTE_TOKEN=stack.admin_token)
    scaler = Program("autoscale", command, env, stack.root / "autoscale.out")

    def asked() -> list[str]:
        assert scaler.running, scaler.words()
        return numbers.read_text().split()

    try:
        scaler.start()
        until(lambda: asked() == ["0"], "nothing waits")
        go = stack.root / "go"
        script = f"while [ ! -e {go} ]; do sleep 0.02; done"
        jobs = [stack.submit(script) for _ in range(3)]
        until(lambda: asked()[-1] == "2", "three jobs need two agents")

        stack.server.kill()
        until(lambda: "Nothing is changed" in scaler.words(), "it says so", 60)
        stack.start_server()
        agents = [
            stack.agent(name, "--ephemeral", capacity=2, run=["--idle-timeout", "4s"])
            for name in ("a", "b")
        ]
        for job in jobs:
            stack.reaches(job.id, JobState.RUNNING)
        assert asked()[-1] == "2", "those that run need them, too"
        go.touch()
        until(lambda: asked()[-1] == "0", "none is needed after the cooldown")
        for agent in agents:
            assert agent.wait() == 0, agent.words()
        assert [stack.client.job(job.id).state for job in jobs] == [JobState.SUCCEEDED] * 3
        says(scaler.words(), "2 agents: 3 wait", "0 agents: 0 wait")
    finally:
        if scaler.running:
            scaler.kill()
