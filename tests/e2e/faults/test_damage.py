"""Jobs that damage what is the agent's, and a host that is short of something: real processes.

The agent has no powers over the modes of files here, as every agent that is not root's.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remote_protocol import cri
from remote_protocol.messages import Assignment
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason
from tests.support.agent_process import AgentProcess
from tests.support.fake_server import FakeServer, until
from tests.support.powerless import give_up_powers


def sh(script: str, **more: object) -> JobSpec:
    return JobSpec.model_validate({"command": ["sh", "-c", script], **more})


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as it:
        it.assignment = Assignment(queues=["default"], capacity={"default": 100})
        yield it


async def test_nothing_that_a_job_closes_stops_its_agent(
    server: FakeServer, tmp_path: Path
) -> None:
    agent = AgentProcess(tmp_path, server.url)
    agent.before_exec = give_up_powers
    async with agent:
        await server.online()
        attempts = agent.state / "attempts"
        done = {
            what: server.offer(sh(f"echo in; exec 2>&-; {what}; echo out; exit 4"))
            for what in (
                "chmod 000 ..",
                "mkdir -p m/a; touch m/a/f; chmod -R a-w m",
                "chmod 500 .",
                "chmod 000 .",
                "mkdir ../exit.json",
                "i=0; while [ $i -lt 600 ]; do mkdir d; cd d; i=$((i+1)); done",
            )
        }
        for what, key in done.items():
            ended = await server.end_of(key)
            assert (ended.exit_code, ended.end_reason) == (4, EndReason.EXIT), what
            assert cri.decode(bytes(server.logs[key])) == b"in\nout\n", what
        ended = await server.end_of(server.offer(sh(f"chmod 000 {attempts}; exit 4")))
        assert ended.exit_code == 4
        key = server.offer(sh("chmod 000 ..; sleep 60"))
        await until(lambda: key in server.started)
        server.cancel(key)
        assert (await server.end_of(key)).end_reason is EndReason.CANCELLED
        await until(lambda: not any((attempts / ".trash").iterdir()), "the trash is empty", 30)
        broken = server.offer(sh("rm ../attempt.jsonl; mkfifo ../attempt.jsonl; sleep 60"))
        await until((attempts / str(broken) / "attempt.jsonl").is_fifo)
        await agent.kill()
        await agent.start()
        await server.online(hellos=2)
        ended = await server.end_of(broken)
        assert ended.end_reason is EndReason.LOST and "damaged" in ended.end_detail
        assert str(attempts / str(broken)) in agent.log
        assert (await server.end_of(server.offer(sh("exit 3")))).exit_code == 3


async def test_few_descriptors_are_enough_for_many_jobs(server: FakeServer, tmp_path: Path) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (48, 64))

    agent = AgentProcess(tmp_path, server.url)
    agent.before_exec = few
    async with agent:
        await server.online()
        keys = [server.offer(sh("ulimit -n; sleep 2; echo end")) for _ in range(60)]
        for key in keys:
            assert (await server.end_of(key)).exit_code == 0
            assert cri.decode(bytes(server.logs[key])) == b"48\nend\n", "the limit of before"
        await until(lambda: not agent.ask("status")["attempts"])


async def test_an_agent_without_descriptors_recovers_by_itself(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AgentProcess(tmp_path, server.url) as agent:
        await server.online()
        go = tmp_path / "go"
        key = server.offer(sh(f"while [ ! -e {go} ]; do sleep 0.02; done; exit 5"))
        await until(lambda: key in server.started)
        assert agent.process is not None
        pid = agent.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        held = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (held, before[1]))
        await until(lambda: "of an attempt cannot be read" in agent.log, "it says so")
        go.touch()
        with socket.socket(socket.AF_UNIX) as caller:
            monkeypatch.chdir(agent.state)
            caller.connect("control.sock")
            await until(lambda: "short of something" in agent.log, "it says so")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
        assert (await server.end_of(key)).exit_code == 5
        assert agent.log.count("Too many open files") < 20
        agent.signal(signal.SIGTERM)
        assert await agent.wait() == 0
