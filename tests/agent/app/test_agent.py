"""The agent as a real process against a server over real sockets, with real shims and jobs."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import socket
import sys
import zlib
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from remote_agent.app.agent import _after_start
from remote_agent.errors import AgentError, ConfigError
from remote_agent.journal.settled import LOGS
from remote_agent.local.lock import exclusive
from remote_protocol import cri
from remote_protocol.codec import encode
from remote_protocol.messages import Assignment, DesiredMode, Error, Refusal, SetMode
from remote_protocol.spec import CommandSpec, JobSpec
from remote_protocol.states import EndReason
from tests.support.agent_process import AgentProcess, spread
from tests.support.fake_server import FakeServer, until


def sh(script: str, **more) -> JobSpec:
    """A job that a shell runs."""
    return CommandSpec(command=["sh", "-c", script], **more)


def gate(path: Path) -> str:
    """What a job's script waits at until the test makes `path`."""
    return f"until [ -e {path} ]; do sleep 0.05; done"


@pytest.fixture
async def server():
    async with FakeServer() as it:
        yield it


@pytest.fixture
async def agent(server, tmp_path):
    async with AgentProcess(tmp_path, server.url) as it:
        await server.online()
        yield it


async def test_a_job_from_offer_to_forgotten(server, agent):
    key = server.offer(sh("echo out; echo err >&2; exit 3"))
    ended = await server.end_of(key)
    assert (ended.exit_code, ended.end_reason) == (3, EndReason.EXIT)
    log = bytes(server.logs[key])
    assert cri.decode(log, cri.STDOUT) == b"out\n"
    assert cri.decode(log, cri.STDERR) == b"err\n"
    assert server.accepted == [key]
    # A job as short as this one is said to have started by its end.
    assert ended.started_at is not None and ended.started_at <= ended.ended_at
    await until(lambda: not agent.ask("status")["attempts"])
    assert not (agent.state / "attempts" / str(key) / "work").exists()
    attempts = agent.state / "attempts"
    # Where its shim had not let go yet, the log stays in the directory.
    places = attempts / LOGS / str(key), attempts / str(key) / "output.log"
    assert [place.read_bytes() for place in places if place.exists()] == [log]


async def test_many_jobs_at_once_and_a_big_output_between_them(server, agent):
    server.assignment = Assignment(queues=["default"], capacity={"default": 8})
    flood = server.offer(sh("head -c 20000000 /dev/urandom"))
    keys = [server.offer(sh(f"echo {number}")) for number in range(20)]
    for number, key in enumerate(keys):
        await server.end_of(key)
        assert cri.decode(bytes(server.logs[key])) == f"{number}\n".encode()
    ended = await server.end_of(flood)
    assert ended.usage.stdout_bytes == 20_000_000
    assert len(cri.decode(bytes(server.logs[flood]))) == 20_000_000


async def test_kill_9_and_a_new_agent_finds_the_job_and_every_byte(server, agent):
    go, first = agent.state / "go", agent.state / "first"
    script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.1; done"
    key = server.offer(sh(f"{script}; {gate(go)}; exit 7"))
    done = server.offer(sh(f"{gate(first)}; echo done"))
    await until(lambda: key in server.started and done in server.started)
    await agent.kill()
    first.touch()
    await until((agent.state / "attempts" / str(done) / "exit.json").exists)
    await agent.start()
    await server.online(hellos=2)
    assert {str(item.phase) for item in server.hellos[1].inventory} == {"running", "ended"}
    go.touch()
    assert (await server.end_of(key)).exit_code == 7
    assert (await server.end_of(done)).exit_code == 0
    assert cri.decode(bytes(server.logs[key])) == b"1\n2\n3\n4\n5\n6\n7\n8\n9\n"
    assert cri.decode(bytes(server.logs[done])) == b"done\n"


async def test_an_attempt_that_was_accepted_waits_over_a_restart_for_its_confirmation(
    server, agent
):
    server.confirm = False
    key = server.offer(sh("echo ran"))
    await until(lambda: server.accepted)
    await agent.kill()
    assert not server.started
    server.confirm = True
    await agent.start()
    await until(lambda: len(server.accepted) == 2)
    await server.end_of(key)
    assert cri.decode(bytes(server.logs[key])) == b"ran\n"


async def test_a_link_cut_in_the_middle_of_a_log_loses_nothing(server, agent):
    key = server.offer(
        sh("for i in 1 2 3 4 5 6; do head -c 3000000 /dev/urandom; sleep 0.05; done")
    )
    for hellos in (2, 3):
        seen = len(server.logs[key])
        await until(partial(_longer, server.logs[key], seen + 2_000_000))
        server.cut()
        await server.online(hellos=hellos)
    ended = await server.end_of(key)
    assert ended.checksum == zlib.crc32(server.logs[key])
    assert len(cri.decode(bytes(server.logs[key]))) == 18_000_000


async def test_a_server_that_lost_log_bytes_gets_them_again(server, agent):
    go = agent.state / "go"
    key = server.offer(sh(f"head -c 1000000 /dev/urandom; {gate(go)}"))
    await until(lambda: len(server.logs[key]) > 900_000)
    del server.logs[key][1000:]
    server.cut()
    go.touch()
    ended = await server.end_of(key)
    assert ended.size == len(server.logs[key])


async def test_cancel_is_polite_first(server, agent):
    key = server.offer(
        sh("trap 'echo bye; exit 9' TERM; exec 2>&-; echo up; while :; do sleep 0.1; done")
    )
    await until(lambda: b"up" in server.logs[key])
    server.cancel(key, "no longer wanted")
    ended = await server.end_of(key)
    assert ended.end_reason is EndReason.CANCELLED
    assert "no longer wanted" in ended.end_detail
    assert cri.decode(bytes(server.logs[key])) == b"up\nbye\n"


async def test_cancel_ends_what_does_not_listen(server, agent):
    key = server.offer(sh("trap '' TERM; echo up; while :; do sleep 0.01; done", grace_period=0.2))
    await until(lambda: b"up" in server.logs[key])
    server.cancel(key)
    ended = await server.end_of(key)
    assert (ended.end_reason, ended.exit_code) == (EndReason.CANCELLED, 137)


async def test_cancel_before_the_start_means_that_it_never_starts(server, agent):
    server.confirm = False
    key = server.offer(sh("echo never"))
    await until(lambda: server.accepted)
    server.cancel(key, "too late")
    ended = await server.end_of(key)
    assert (ended.end_reason, ended.exit_code, ended.size) == (EndReason.CANCELLED, None, 0)
    assert key not in server.started


async def test_a_superseded_attempt_is_killed_and_forgotten(server, agent):
    key = server.offer(sh("echo up; sleep 60"))
    await until(lambda: key in server.started)
    pid = server.started[key].pid
    server.superseded.add(key)
    server.cut()
    await server.online(hellos=2)
    await until(lambda: not os.path.exists(f"/proc/{pid}"))
    await until(lambda: not agent.ask("status")["attempts"])
    assert key not in server.ended


async def test_a_shim_that_dies_is_reported_as_a_loss(server, agent):
    key = server.offer(sh("echo up; sleep 60"))
    await until(lambda: b"up" in server.logs[key])
    os.kill(_shim_of(agent, key), signal.SIGKILL)
    ended = await server.end_of(key)
    assert (ended.end_reason, ended.exit_code) == (EndReason.LOST, None)
    assert "shim died" in ended.end_detail
    assert cri.decode(bytes(server.logs[key])) == b"up\n"


def _longer(log: bytearray, length: int) -> bool:
    return len(log) > length


def _shim_of(agent, key) -> int:
    record = agent.state / "attempts" / str(key) / "started.json"
    return int(json.loads(record.read_bytes())["shim_pid"])


async def test_a_dead_launcher_is_replaced(server, agent):
    children = Path(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children")
    launcher = int(children.read_text().split()[0])
    os.kill(launcher, signal.SIGKILL)
    keys = [server.offer(sh("echo here")) for _ in range(8)]
    for key in keys:
        await server.end_of(key)
        assert cri.decode(bytes(server.logs[key])) == b"here\n"


async def test_pause_here_is_told_kept_and_taken_back(server, agent):
    agent.ask("pause", comment="changing the disk")
    await until(lambda: server.condition.reason == "paused on the host: changing the disk")
    key = server.offer(sh("echo no"))
    await until(lambda: key in server.refused)
    assert server.refused[key].reason == "paused"
    await agent.kill()
    await agent.start()
    await server.online(hellos=2)
    assert not server.hellos[1].condition.accepting
    await agent.control_up()
    agent.ask("resume")
    await until(lambda: server.condition.accepting)
    await server.end_of(server.offer(sh("echo yes")))


async def test_the_servers_pause_and_drain_are_obeyed(server, agent):
    server.desired = DesiredMode(paused=True, comment="release day")
    server.say(SetMode(desired=server.desired))
    await until(lambda: server.condition.reason == "paused: release day")
    server.desired = DesiredMode()
    server.say(SetMode(desired=server.desired))
    await until(lambda: server.condition.accepting)
    go = agent.state / "go"
    key = server.offer(sh(f"{gate(go)}; echo end"))
    await until(lambda: key in server.started)
    server.desired = DesiredMode(draining=True)
    server.say(SetMode(desired=server.desired))
    await until(lambda: server.condition.draining)
    late = server.offer(sh("echo no"))
    await until(lambda: late in server.refused)
    go.touch()
    assert await agent.wait() == 0
    assert key in server.settled
    assert server.refused[late].reason == "draining"
    assert server.goodbyes == ["drained"]
    # Started again, it waits for the operator's `resume` instead of leaving at once.
    await agent.start()
    await server.online(hellos=2)
    await asyncio.sleep(1.5)
    server.say(SetMode(desired=DesiredMode()))
    await until(lambda: server.condition.accepting)


async def test_a_drain_said_on_the_host_with_a_deadline(server, agent):
    key = server.offer(sh("sleep 60"))
    await until(lambda: key in server.started)
    agent.ask("drain", deadline=0.1)
    assert await agent.wait() == 0
    assert server.ended[key].end_reason is EndReason.CANCELLED
    assert "deadline" in server.ended[key].end_detail
    await agent.start()
    await server.online(hellos=2)
    assert server.condition.accepting


async def test_term_leaves_jobs_running_and_the_next_start_finds_them(server, agent):
    go = agent.state / "go"
    key = server.offer(sh(f"{gate(go)}; echo end"))
    await until(lambda: key in server.started)
    agent.signal(signal.SIGTERM)
    assert await agent.wait() == 0
    assert server.goodbyes == ["stopped; jobs run on"]
    go.touch()
    await agent.start()
    await server.end_of(key)
    assert cri.decode(bytes(server.logs[key])) == b"end\n"


async def test_on_stop_cancel_and_drain(server, tmp_path):
    for mode, reason in (("cancel", EndReason.CANCELLED), ("drain", EndReason.EXIT)):
        folder = tmp_path / mode
        folder.mkdir()
        async with AgentProcess(folder, server.url, f'[agent]\non_stop = "{mode}"') as agent:
            await server.online(hellos=len(server.hellos) + 1)
            go = folder / "go"
            key = server.offer(sh(gate(go)))
            await until(partial(server.started.get, key))
            agent.signal(signal.SIGINT)
            if mode == "drain":
                await until(lambda: not server.condition.accepting)
                go.touch()
            assert await agent.wait() == 0
            assert server.ended[key].end_reason is reason
            assert key in server.settled


async def test_the_second_signal_ends_it_at_once(server, tmp_path):
    async with AgentProcess(tmp_path, server.url, '[agent]\non_stop = "drain"') as agent:
        await server.online()
        key = server.offer(sh("sleep 60"))
        await until(lambda: key in server.started)
        agent.signal(signal.SIGTERM)
        await until(lambda: not server.condition.accepting)
        agent.signal(signal.SIGTERM)
        assert await agent.wait() == 1
        assert os.path.exists(f"/proc/{server.started[key].pid}")


async def test_once_runs_one_job_and_leaves(server, tmp_path):
    agent = AgentProcess(tmp_path, server.url)
    try:
        await agent.start("--once")
        await server.online()
        keys = [server.offer(sh("echo one")) for _ in range(3)]
        assert await agent.wait() == 0
        assert [key for key in keys if key in server.settled] == keys[:1]
        assert set(server.refused) == set(keys[1:])
    finally:
        await agent.end()


async def test_a_refused_token_ends_it_with_code_4(server, tmp_path):
    server.refusal = (401, "invalid_token")
    async with AgentProcess(tmp_path, server.url) as agent:
        assert await agent.wait() == 4
        assert "refused this agent's token" in agent.log


async def test_a_second_agent_on_the_directory_says_so(server, agent):
    with pytest.raises(ConfigError, match=f"process {agent.process.pid}"), exclusive(agent.state):
        raise AssertionError("the lock was free")


async def test_fenced_it_stays_and_says_why(server, agent):
    wire = server.wire
    # The real server's way: first the words, then the close.
    await wire.send(encode(Error(code="fenced", detail="another session took over")))
    await wire.close(4002, "another session took over")
    await until(lambda: "another agent connected" in agent.log)
    assert agent.ask("status")["link"] != "online"


async def test_hup_reads_the_configuration_again(server, tmp_path):
    async with AgentProcess(tmp_path, server.url, "[agent]\ncapacity = 2") as agent:
        await server.online()
        assert server.hellos[0].settings.capacity == {"default": 2}
        agent.file.write_text('[agent]\ncapacity = 3\nlabels = { gpu = "yes" }')
        agent.signal(signal.SIGHUP)
        await server.online(hellos=2)
        assert server.hellos[1].settings.capacity == {"default": 3}
        assert server.hellos[1].settings.labels == {"gpu": "yes"}
        assert server.hellos[1].session == server.hellos[0].session
        agent.file.write_text("[agent]\ncapacty = 3")
        agent.signal(signal.SIGHUP)
        await until(lambda: "the configuration stays as it is" in agent.log)
        await server.end_of(server.offer(sh("true")))


async def test_a_disk_below_its_reserve_takes_no_jobs(server, tmp_path):
    async with AgentProcess(tmp_path, server.url, '[limits]\nmin_free_disk = "1000TB"'):
        await server.online()
        assert "disk below its reserve" in server.condition.reason
        key = server.offer(sh("echo no"))
        await until(lambda: key in server.refused)
        assert server.refused[key].reason == "disk"


async def test_systemd_hears_ready_and_the_status(server, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.setblocking(False)
        agent = AgentProcess(tmp_path, server.url)
        try:
            await agent.start(NOTIFY_SOCKET=str(tmp_path / "notify"))
            await server.online()
            heard = b""

            def ready() -> bool:
                nonlocal heard
                with suppress(BlockingIOError):
                    heard += ear.recv(4096) + b"\n"
                return b"READY=1" in heard and b"STATUS=online, 0 jobs" in heard

            await until(ready)
        finally:
            await agent.end()


async def test_status_names_everything_but_the_token(server, agent):
    key = server.offer(sh("echo up; sleep 60", name="build"))
    await until(lambda: server.logs[key])
    status = agent.ask("status")
    assert status["link"] == "online" and status["capacity"] == {"default": 100}
    (attempt,) = status["attempts"]
    assert (attempt["job"], attempt["phase"], attempt["name"]) == (key.job, "running", "build")
    assert attempt["pid"] == server.started[key].pid
    await until(lambda: agent.ask("status")["attempts"][0]["acked"] == len(server.logs[key]))
    assert "rat_" not in str(status)
    with pytest.raises(AgentError, match="do"):
        agent.ask("dance")


async def test_nothing_is_left_behind(server, agent):
    keys = [server.offer(sh("true")) for _ in range(5)]
    for key in keys:
        await server.end_of(key)
    await until(lambda: not spread(agent.state))


async def test_signals_that_mean_nothing_and_those_that_were_blocked(server, tmp_path):
    agent = AgentProcess(tmp_path, server.url)

    def block() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    agent.before_exec = block
    async with agent:
        await server.online()
        await agent.control_up()
        agent.signal(signal.SIGUSR1)
        agent.signal(signal.SIGUSR2)
        await until(lambda: agent.log.count("a signal was ignored") == 2)
        agent.signal(signal.SIGTERM)
        assert await agent.wait() == 0


async def test_more_offers_than_were_agreed_are_refused(server, tmp_path):
    server.assignment = Assignment(queues=["default"], capacity={"default": 1})
    async with AgentProcess(tmp_path, server.url):
        await server.online()
        go = tmp_path / "go"
        keys = [server.offer(sh(gate(go))) for _ in range(50)]
        # The one that is taken is accepted when all that came with it were heard.
        await until(lambda: len(server.refused) == 49 and server.accepted)
        go.touch()
        assert {refusal.reason for refusal in server.refused.values()} == {Refusal.CAPACITY}
        assert server.accepted == keys[:1]


def _have_umask(mask: int) -> None:
    os.umask(mask)


@pytest.mark.parametrize(("config", "shown"), [("", "0077"), ('[jobs]\numask = "027"', "0027")])
async def test_jobs_have_the_umask_of_the_agents_start(server, tmp_path, config, shown):
    agent = AgentProcess(tmp_path, server.url, config)
    agent.before_exec = partial(_have_umask, 0o077)
    async with agent:
        await server.online()
        key = server.offer(sh("umask; touch made; stat -c %a made"))
        assert (await server.end_of(key)).exit_code == 0
        mode = 0o666 & ~int(shown, 8)
        assert cri.decode(bytes(server.logs[key])).decode() == f"{shown}\n{mode:o}\n"
        # What the agent makes stays its own.
        assert (agent.state / "attempts").stat().st_mode & 0o777 == 0o700


NEEDLESS = (
    "platformdirs",
    "remote_agent.cli.enrol",
    "remote_agent.cli.logs",
    "remote_agent.connection.enrolment",
    "remote_protocol.api",
    "remote_agent.doctor",
    "remote_agent.export",
    "remote_agent.service",
    "remote_agent.shim.workload",
    "remote_protocol.cri",
    "remote_protocol.reachability",
    "remote_protocol.statsd",
    "difflib",
    "email",
    "http.client",
    "zipfile",
)
"""What other commands need: no start of a registered agent waits for it."""


async def test_a_start_loads_nothing_that_it_does_not_need(server, tmp_path):
    agent = AgentProcess(tmp_path, server.url)
    program = (
        "import atexit, sys\n"
        "atexit.register(lambda: print('loaded', *sys.modules))\n"
        "from remote_agent.__main__ import main\n"
        "sys.exit(main())\n"
    )
    call = [sys.executable, "-c", program, "run", "--state-dir", str(agent.state)]
    process = await asyncio.create_subprocess_exec(*call, stdout=asyncio.subprocess.PIPE)
    try:
        await server.online()
        process.terminate()
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    loaded = output.decode().splitlines()[-1].split()
    assert process.returncode == 0
    assert loaded[0] == "loaded" and "websockets.asyncio.client" in loaded
    assert set(NEEDLESS) & set(loaded) == set()


def test_once_settled_the_collector_works_on_what_is_new():
    gc.disable()
    try:
        _after_start()
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.enable()
        gc.unfreeze()
