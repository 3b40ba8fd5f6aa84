"""Jobs of other users cannot reach what is the agent's, or each other's: a real agent as root."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from remote_agent.processes import kill_user
from remote_protocol import cri
from remote_protocol.messages import Assignment, Refusal
from remote_protocol.spec import CommandSpec, JobFile, JobSpec
from remote_protocol.states import EndReason
from tests.support.agent_process import AgentProcess
from tests.support.fake_server import TOKEN, FakeServer, until
from tests.support.powerless import give_up_powers
from tests.support.shim_harness import running
from tests.support.stack import Stack

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")

ONE = '[jobs]\nrun_as = "nobody"\n'


def many(first: int) -> str:
    """A range of six; no two tests share one, for an agent kills all that is left of a user."""
    return f'[jobs]\nuser_range = "{first}-{first + 5}"\n'


MANY = many(80000)


def sh(script: str, **more: object) -> JobSpec:
    return JobSpec.model_validate({"command": ["sh", "-c", script], **more})


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users can pass, unlike those of pytest."""
    made = Path(tempfile.mkdtemp(prefix="separate."))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as it:
        it.assignment = Assignment(queues=["default"], capacity={"default": 100})
        yield it


async def output(server: FakeServer, spec: JobSpec, code: int | None = 0) -> str:
    """What a job says; it must end with this code."""
    key = server.offer(spec)
    ended = await server.end_of(key)
    said = cri.decode(bytes(server.logs.get(key, b""))).decode()
    assert code is None or ended.exit_code == code, (ended, said)
    return said


ATTACKS = {
    "read the identity": "cat $STATE/identity.json",
    "read the installation": "cat $STATE/installation",
    "list the state": "ls $STATE",
    "list the jobs": "ls $STATE/jobs",
    "list the attempts": "ls $STATE/attempts",
    "enter another attempt": "ls $STATE/attempts/$VICTIM",
    "read another order": "cat $STATE/attempts/$VICTIM/attempt.jsonl",
    "forge an end": "echo '{}' > $STATE/attempts/$VICTIM/exit.json",
    "forge its own end": "echo '{}' > $STATE/attempts/$ME/exit.json",
    "read its own order": "cat $STATE/attempts/$ME/attempt.jsonl",
    "close the attempts": "chmod 000 $STATE/attempts",
    "close the state": "chmod 000 $STATE",
    "put something into the state": "touch $STATE/x",
    "put something among the jobs": "touch $STATE/jobs/x",
    "read the log": "cat $STATE/logs/agent.log",
    "move its own folder": "mv $STATE/jobs/$ME $STATE/jobs/x",
    "signal the agent": "kill -0 $AGENT",
    "stop the agent": "kill -STOP $AGENT",
    "signal its shim": "kill -9 $PPID",
    "read the agent's environment": "cat /proc/$AGENT/environ",
    "read the shim's environment": "cat /proc/$PPID/environ",
    "read the agent's memory": "head -c1 /proc/$AGENT/mem",
    "read the agent's descriptors": "ls /proc/$AGENT/fd",
    "talk to the agent": "python3 -c 'import socket,os; s=socket.socket(socket.AF_UNIX);"
    ' s.connect(os.environ["STATE"]+"/control.sock")\'',
    "hint to the agent": "python3 -c 'import socket,os; s=socket.socket(socket.AF_UNIX,"
    ' socket.SOCK_DGRAM); s.sendto(b"{}", os.environ["STATE"]+"/agent.sock")\'',
    "talk to another shim": "python3 -c 'import socket,os; s=socket.socket(socket.AF_UNIX,"
    ' socket.SOCK_DGRAM); s.sendto(b"{}",'
    ' os.environ["STATE"]+"/attempts/"+os.environ["VICTIM"]+"/control")\'',
    "become root": "setpriv --reuid 0 true",
}
ON_OTHERS = {
    "enter another job's folder": "ls $STATE/jobs/$VICTIM",
    "signal another job": "kill -0 $OTHER",
    "read another job's environment": "cat /proc/$OTHER/environ",
    "read another job's output": "cat /proc/$OTHER/fd/1",
    "mask what another job writes": "echo sleep >> $STATE/jobs/$VICTIM/mask",
}


@pytest.mark.parametrize("config", [ONE, MANY], ids=["run_as", "user_range"])
async def test_nothing_of_the_agent_is_in_reach(
    server: FakeServer, folder: Path, config: str
) -> None:
    async with AgentProcess(folder, server.url, config) as agent:
        await server.online()
        victim = server.offer(sh("echo $$; sleep 60", env={"SECRET": "s"}, mask=True))
        await until(lambda: server.logs.get(victim))
        assert agent.process is not None
        env = {
            "STATE": str(agent.state),
            "VICTIM": str(victim),
            "AGENT": str(agent.process.pid),
            "OTHER": str(server.started[victim].pid),
        }
        attacks = ATTACKS if config == ONE else ATTACKS | ON_OTHERS
        script = "ME=$REMOTE_JOB_ID.$REMOTE_ATTEMPT\n" + "\n".join(
            f"(exec 2>&-; {attack}) >/dev/null && echo 'could {what}'"
            for what, attack in ((what.replace("'", ""), a) for what, a in attacks.items())
        )
        said = await output(
            server, sh(f"python3 -c pass || echo no python\n{script}\necho done", env=env)
        )
        assert said == "done\n"
        for name in ("identity.json", "control.sock", "agent.sock", "contact", "lock"):
            assert stat.S_IMODE((agent.state / name).stat().st_mode) == 0o600, name
        assert stat.S_IMODE(agent.state.stat().st_mode) == 0o711
        server.cancel(victim)
        assert (await server.end_of(victim)).end_reason is EndReason.CANCELLED
        assert TOKEN not in agent.log


async def test_a_job_is_its_user_in_its_own_folder(server: FakeServer, folder: Path) -> None:
    async with AgentProcess(folder, server.url, ONE) as agent:
        await server.online()
        shown = await output(
            server,
            sh(
                "id -un; id -Gn; echo $HOME $USER $LOGNAME $SHELL; umask; pwd; echo $TMPDIR;"
                "touch a $TMPDIR/b $REMOTE_ARTIFACTS/c; rm $REMOTE_ARTIFACTS/c;"
                "echo k=v > $REMOTE_OUTPUTS; cat file;"
                "stat -c '%U %a' . $TMPDIR .. file; echo out > /dev/stdout;"
                "grep NoNew /proc/self/status",
                files=[JobFile(path="file", content="aGkK", mode=0o640).model_dump()],
            ),
        )
        lines = shown.splitlines()
        assert len(lines) == 13, shown
        assert list(server.ended.values())[-1].outputs == {"k": "v"}
        assert lines[:2] == ["nobody", "nogroup"] and lines[2].split()[1:3] == ["nobody"] * 2
        assert lines[4].startswith(f"{agent.state}/jobs/") and lines[4].endswith("/work")
        assert lines[5] == lines[4].removesuffix("work") + "tmp" and lines[6] == "hi"
        assert lines[7:11] == ["nobody 700"] * 3 + ["nobody 640"]
        assert lines[11] == "out" and lines[12].split() == ["NoNewPrivs:", "1"]
        shown = await output(server, CommandSpec(script="echo $0 $(id -un)", shell="sh"))
        assert shown.split()[1] == "nobody" and shown.startswith(f"{agent.state}/jobs/")
        shown = await output(server, sh("pwd", cwd="/root"), code=126)
        ended = list(server.ended.values())[-1]
        assert "cannot enter the working directory '/root'" in ended.end_detail
        ended = await server.end_of(server.offer(CommandSpec(command=["./absent"])))
        assert (ended.exit_code, ended.end_reason) == (127, EndReason.SPAWN_ERROR)
        await until(lambda: os.listdir(agent.state / "jobs") in ([], [".trash"]), "all is deleted")
        status = agent.ask("status")
        assert status["jobs_run_as"].startswith("nobody (uid ")


@pytest.mark.parametrize("config", [ONE, many(80200)], ids=["run_as", "user_range"])
async def test_a_job_of_another_user_names_what_is_masked(
    server: FakeServer, folder: Path, config: str
) -> None:
    async with AgentProcess(folder, server.url, config) as agent:
        await server.online()
        script = (
            "stat -c '%F %a %u' $REMOTE_MASK; id -u; dirname $REMOTE_MASK;"
            "echo hunter22 >> $REMOTE_MASK; echo hunter22"
        )
        lines = (await output(server, sh(script, mask=True))).splitlines()
        assert lines[0] == f"fifo 600 {lines[1]}" and lines[1] != "0"
        assert lines[2].startswith(f"{agent.state}/jobs/") and lines[3:] == ["***"]


async def test_limits_and_trees_work_as_ever(server: FakeServer, folder: Path) -> None:
    async with AgentProcess(folder, server.url, many(80100)) as agent:
        await server.online()
        tree = server.offer(sh("setsid sleep 61 & env -i sleep 62 & echo $!; exit 3"))
        ended = await server.end_of(tree)
        assert ended.exit_code == 3 and "swept" in {step.what for step in ended.steps}
        slow = await server.end_of(server.offer(sh("sleep 60", timeout=0.3)))
        assert slow.end_reason is EndReason.TIMEOUT
        hungry = sh(
            "exec python3 -c 'import time; x = bytearray(300_000_000); time.sleep(60)'",
            memory_limit=50_000_000,
        )
        ended = await server.end_of(server.offer(hungry))
        assert (ended.exit_code, ended.end_reason) == (137, EndReason.MEMORY_LIMIT)
        big = await output(server, sh("head -c 3000000 /dev/zero | tr '\\0' x"))
        assert len(big) == 3_000_000
        assert agent.process is not None


async def test_each_attempt_has_a_user_of_its_own_over_restarts(
    server: FakeServer, folder: Path
) -> None:
    async with AgentProcess(folder, server.url, many(80200)) as agent:
        await server.online()
        kept = sh("(sleep 60 >&- 2>&- &); id -u", keep_processes=True)
        leaver = int(await output(server, kept))
        keys = [server.offer(sh("id -u; sleep 60")) for _ in range(3)]
        await until(lambda: all(server.logs.get(key) for key in keys))
        await agent.kill()
        await agent.start()
        await server.online(hellos=2)
        keys += [server.offer(sh("id -u; sleep 60")) for _ in range(2)]
        await until(lambda: all(server.logs.get(key) for key in keys))
        users = [int(cri.decode(bytes(server.logs[key]))) for key in keys]
        assert len({leaver, *users}) == 6 and {leaver, *users} <= set(range(80200, 80206))
        over = server.offer(sh("true"))
        await until(lambda: over in server.refused, "all users are taken")
        assert server.refused[over].reason is Refusal.CAPACITY
        assert "user_range" in server.refused[over].detail
        # What a dead shim leaves dies with its user, whatever its environment says.
        pids = json.loads((agent.state / "attempts" / str(keys[0]) / "started.json").read_bytes())
        os.kill(pids["shim_pid"], 9)
        assert (await server.end_of(keys[0])).end_reason is EndReason.LOST
        assert not running(pids["pid"])
        again = server.offer(sh("id -u"))
        await server.end_of(again)
        assert int(cri.decode(bytes(server.logs[again]))) == users[0]
        for key in keys[1:]:
            server.cancel(key)
            await server.end_of(key)
        assert kill_user(leaver) == 1


async def test_all_faults_at_once(server: FakeServer, folder: Path) -> None:
    agent = AgentProcess(folder, server.url, '[jobs]\nrun_as = "nosuchuser"\n')
    agent.before_exec = give_up_powers
    async with agent:
        assert await agent.wait() == 2
    assert "no user 'nosuchuser'" in agent.log and "CAP_SETUID" in agent.log


async def test_a_folder_that_its_user_cannot_pass_is_refused(
    server: FakeServer, folder: Path
) -> None:
    folder.chmod(0o700)
    async with AgentProcess(folder, server.url, ONE) as agent:
        assert await agent.wait() == 2
    assert "cannot pass to" in agent.log and "chmod o+x" in agent.log


@pytest.mark.parametrize("config", [ONE, many(80300)], ids=["run_as", "user_range"])
def test_input_reaches_a_job_of_another_user(folder: Path, config: str) -> None:
    with Stack(folder) as stack:
        stack.start_server()
        stack.agent("a", config=config)
        script = "id -u; cat; echo to stderr >&2"
        run = stack.ctl_start("run", "--shell", "sh", "--", script, stdin=subprocess.PIPE)
        data = b"hi\n" + bytes(range(256)) * 4096
        out, err = run.communicate(data, timeout=60)
        assert run.returncode == 0, err
        user, _, rest = out.partition(b"\n")
        assert rest == data and int(user) != 0
        assert b"to stderr" in err
