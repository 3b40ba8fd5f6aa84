"""Secrets of jobs, from every place that may have them, through crashes, and found nowhere else."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import tarfile
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex

import pytest

from remote_agent.journal.secret_folders import prefix_in
from remote_agent.processes.linux import children
from remote_protocol import cri
from remote_protocol.attempt_id import AttemptId
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason
from tests.support.agent_process import AgentProcess
from tests.support.fake_server import FakeServer, until
from tests.support.powerless import give_up_powers
from tests.support.searched import content_of, files_below
from tests.support.shim_harness import state
from tests.support.stack import BIN, Stack, says
from tests.support.stack import until as soon

CANARY = f"canary-{token_hex(16)}"
# It waits without a child, whose environment would be the job's own.
WAIT = 'echo "got ${#A} ${#URL}"; read go < "$GO"'


def places_of(text: str, *roots: Path, own: frozenset[int] = frozenset()) -> list[str]:
    """Where it can be found: in files, and in command lines and environments of processes; `own`
    are processes whose environment may have it."""
    wanted = text.encode()
    found = [str(path) for path in files_below(*roots) if wanted in content_of(path)]
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            names = ("cmdline",) if int(process.name) in own else ("cmdline", "environ")
            found += [f"{process / name}" for name in names if wanted in content_of(process / name)]
    return found


def sh(script: str, **more: object) -> JobSpec:
    return JobSpec.model_validate({"shell": "sh", "script": script, **more})


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with FakeServer() as it:
        yield it


async def bundled(agent: AgentProcess, file: Path, **env: str) -> bytes:
    """All that is in a debug bundle."""
    command = [str(BIN / "remote-agent"), "debug", "bundle", str(file)]
    options = ["--state-dir", str(agent.state), "--config", str(agent.file)]
    made = await asyncio.create_subprocess_exec(*command, *options, env={**os.environ, **env})
    assert await made.wait() == 0
    with tarfile.open(file) as archive:
        found = [archive.extractfile(entry) for entry in archive.getmembers()]
        return b"".join(one.read() for one in found if one is not None)


def said(server: FakeServer, key: AttemptId) -> str:
    return cri.decode(bytes(server.logs.get(key, b""))).decode()


async def test_an_agent_that_is_killed_before_the_start_is_given_them_again(
    server: FakeServer, tmp_path: Path
) -> None:
    """Accepted, not confirmed; then kill -9. Nothing of the value was on the disk."""
    server.confirm = False
    server.secrets = {"A": CANARY}
    async with AgentProcess(tmp_path, server.url) as agent:
        await server.online()
        key = server.offer(sh('echo "${#A}"', secrets=["A"]))
        await until(lambda: key in server.accepted, "the attempt is accepted")
        await agent.kill()
        server.confirm = True
        await agent.start()
        ended = await server.end_of(key)
        assert (ended.exit_code, said(server, key)) == (0, f"{len(CANARY)}\n")
        assert places_of(CANARY, tmp_path) == []


async def test_one_that_is_killed_before_its_shim_began_is_given_them_again(
    server: FakeServer, tmp_path: Path
) -> None:
    """Confirmed, and its shims stand still; then kill -9 of agent and shims, request and all."""
    server.secrets = {"A": CANARY}
    async with AgentProcess(tmp_path, server.url) as agent:
        await server.online()
        assert agent.process is not None
        pid = agent.process.pid
        await until(lambda: children(pid) and children(children(pid)[0]), "there are shims")
        (launcher,) = children(pid)
        # The launcher first: it may be making one more shim.
        os.kill(launcher, signal.SIGSTOP)
        await until(lambda: state(launcher) == "T", "the launcher stands still")
        kept = [launcher, *children(launcher)]
        for one in kept[1:]:
            os.kill(one, signal.SIGSTOP)
        key = server.offer(sh('echo "${#A}"', secrets=["A"]))
        await until(lambda: key in server.accepted, "the attempt is accepted")
        await until(lambda: agent.ask("status")["attempts"], "it is to be started")
        await agent.kill()
        for one in kept:
            os.kill(one, signal.SIGKILL)
        assert key not in server.started and places_of(CANARY, tmp_path) == []
        await agent.start()
        ended = await server.end_of(key)
        assert (ended.exit_code, said(server, key)) == (0, f"{len(CANARY)}\n")


async def test_a_lost_link_changes_nothing_about_them(server: FakeServer, tmp_path: Path) -> None:
    server.confirm = False
    server.secrets = {"A": CANARY}
    async with AgentProcess(tmp_path, server.url):
        await server.online()
        key = server.offer(sh('echo "${#A}"', secrets=["A"]))
        await until(lambda: key in server.accepted, "the attempt is accepted")
        server.confirm = True
        server.cut()
        assert (await server.end_of(key)).exit_code == 0
        assert said(server, key) == f"{len(CANARY)}\n"


async def test_what_the_server_withholds_is_said(server: FakeServer, tmp_path: Path) -> None:
    server.withheld = {"A": "the secret A is for jobs of the queue prod"}
    async with AgentProcess(tmp_path, server.url) as agent:
        await server.online()
        key = server.offer(sh("touch ../ran", secrets=["A"]))
        ended = await server.end_of(key)
        assert (ended.end_reason, ended.exit_code) == (EndReason.SECRET_MISSING, None)
        assert "the server: the secret A is for jobs of the queue prod;" in ended.end_detail
        assert key not in server.started and "ran" not in {
            path.name for path in files_below(agent.state)
        }
        assert "a job is not started" in agent.log


async def test_it_is_found_nowhere_but_in_its_job(server: FakeServer, tmp_path: Path) -> None:
    """Of the server, of the agent's environment, and in a variable that is made of it."""
    server.secrets = {"A": CANARY}
    go, env = tmp_path / "go", f"environment-{token_hex(16)}"
    os.mkfifo(go)
    config = '[secrets]\nenv_allow = ["OF_ENV"]\n[log]\nlevel = "debug"\n'
    agent = AgentProcess(tmp_path, server.url, config)
    await agent.start(OF_ENV=env)
    try:
        await server.online()
        variables = {"URL": "db://u:${A}@h", "GO": str(go)}
        key = server.offer(sh(WAIT, secrets=["A", "OF_ENV"], env=variables))
        await until(lambda: "got" in said(server, key), "the job runs")
        assert said(server, key) == f"got {len(CANARY)} {len(CANARY) + 9}\n"
        job = server.started[key].pid
        assert agent.process is not None
        assert places_of(CANARY, tmp_path, own=frozenset({job})) == []
        own = frozenset({job, agent.process.pid})
        assert places_of(env, tmp_path, own=own) == []
        bundle = await bundled(agent, tmp_path / "bundle.tar.gz", OF_ENV=env)
        assert b"agent_version" in bundle
        assert CANARY.encode() not in bundle and env.encode() not in bundle
        go.write_text("go\n")
        assert (await server.end_of(key)).exit_code == 0
        assert places_of(CANARY, tmp_path) == []
        assert CANARY not in agent.log and env not in agent.log
    finally:
        await agent.end()


def test_secrets_of_the_host_through_remotectl(stack: Stack) -> None:
    """Files and environment of the agent, a file that changes, and words when one is missing."""
    folder = stack.root / "secrets"
    folder.mkdir()
    (folder / "DB_PASSWORD").write_text("first\n")
    config = f'[secrets]\ndir = "{folder}"\nenv_allow = ["API_*"]\n'
    stack.agent("a", config=config, API_KEY="of the environment")
    words = ["run", "--secret", "DB_PASSWORD", "--secret", "API_KEY", "--env"]
    words += ["URL=postgres://u:${DB_PASSWORD}@h $${DB_PASSWORD}", "--shell", "sh", "--"]
    words += ['echo "$DB_PASSWORD, $API_KEY, $URL" | tr a-z A-Z']  # else it is masked
    done = stack.ctl(*words)
    wanted = b"FIRST, OF THE ENVIRONMENT, POSTGRES://U:FIRST@H ${DB_PASSWORD}\n"
    assert (done.returncode, done.stdout) == (0, wanted), done.stderr
    (folder / "DB_PASSWORD").write_text("second")
    assert b"SECOND, OF THE ENVIRONMENT" in stack.ctl(*words).stdout

    done = stack.ctl("run", "--secret", "NOWHERE", "--", "true")
    assert done.returncode == 125
    says(done.stderr.decode(), "There is no secret NOWHERE", "env_allow does not name", str(folder))
    job = stack.client.jobs(limit=1).items[0]
    assert (job.end_reason, job.exit_code) == (EndReason.SECRET_MISSING, None)
    shown = soon(lambda: stack.ctl("job", "show", job.id).stdout)
    assert b"secret_missing" in shown and b"NOWHERE" in shown


async def test_a_job_of_the_same_user_looks_into_neither_agent_nor_shim(
    server: FakeServer, tmp_path: Path
) -> None:
    """As any user without powers: root has them in these tests, and gives them up."""
    agent = AgentProcess(tmp_path, server.url, '[secrets]\nenv_allow = ["OF_ENV"]\n')
    agent.before_exec = give_up_powers
    await agent.start(OF_ENV=CANARY)
    try:
        await server.online()
        assert agent.process is not None
        looks = f"for file in environ mem maps; do cat /proc/{agent.process.pid}/$file; done 2>&1"
        shim = 'tr "\\0" "\\n" < /proc/$PPID/environ | grep -c OF_ENV'
        key = server.offer(sh(f"{looks}; {shim}"))
        await server.end_of(key)
        assert said(server, key).count("Permission denied") == 3, said(server, key)
        assert said(server, key).endswith("\n0\n")
        # The agent itself works on as before.
        key = server.offer(sh('echo "${#OF_ENV}"; chmod 000 ..', secrets=["OF_ENV"]))
        assert (await server.end_of(key)).exit_code == 0
        assert said(server, key) == f"{len(CANARY)}\n"
    finally:
        await agent.end()


def test_a_secret_of_the_server_is_found_nowhere_but_in_its_job(stack: Stack) -> None:
    """Server, agent and client as they are; the agent is killed while the job runs."""
    agent = stack.agent("a")
    secret = stack.root / "secret"
    secret.write_text(CANARY)
    stack.ctl("secret", "set", "A", "--from-file", secret, check=True)
    secret.unlink()
    go = stack.root / "go"
    os.mkfifo(go)
    env = {"URL": "db://u:${A}@h", "GO": str(go)}
    job = stack.submit(WAIT, secrets=["A"], env=env)
    stack.prints(job.id, f"got {len(CANARY)} {len(CANARY) + 9}\n".encode())
    (started,) = (agent.state_dir / "attempts").glob("*/started.json")
    own = frozenset({json.loads(started.read_bytes())["pid"]})
    assert places_of(CANARY, stack.root, own=own) == []
    agent.kill()
    agent.start()
    stack.online("a")
    assert places_of(CANARY, stack.root, own=own) == []
    go.write_text("go\n")
    assert stack.client.wait(job.id, 30).exit_code == 0
    assert places_of(CANARY, stack.root) == []
    other = stack.run("true", secrets=["A", "B"])
    assert other.end_reason is EndReason.SECRET_MISSING
    assert (
        "There is no secret B; " in str(other.end_detail) and CANARY not in other.model_dump_json()
    )


# As files --------------------------------------------------------------------------------------


def in_memory(agent: AgentProcess) -> list[Path]:
    """Folders with secrets of its jobs."""
    start = Path(prefix_in("/dev/shm", agent.state)).name
    return [path for path in Path("/dev/shm").iterdir() if path.name.startswith(start)]


READ = 'read -r value < "$A_FILE"; echo "got ${#value} ${A-unset}"; sleep 60'


async def test_a_file_is_gone_with_its_shim(server: FakeServer, tmp_path: Path) -> None:
    """kill -9 of the shim alone: the agent removes it with what is left of the job."""
    server.secrets = {"A": CANARY}
    async with AgentProcess(tmp_path, server.url) as agent:
        await server.online()
        key = server.offer(sh(READ, secrets=["A"], secret_files=["A"]))
        await until(lambda: b"unset" in server.logs[key], "the job runs")
        (folder,) = in_memory(agent)
        assert (folder / "A").read_text() == CANARY and places_of(CANARY, tmp_path) == []
        started = json.loads((agent.state / "attempts" / str(key) / "started.json").read_bytes())
        os.kill(started["shim_pid"], signal.SIGKILL)
        assert (await server.end_of(key)).end_reason is EndReason.LOST
        assert in_memory(agent) == []


async def test_a_file_is_gone_after_a_crash_of_all(server: FakeServer, tmp_path: Path) -> None:
    """kill -9 of agent and shim: the agent's next start removes it; what runs keeps its own."""
    server.secrets = {"A": CANARY}
    async with AgentProcess(tmp_path, server.url) as agent:
        await server.online()
        dies, lives = (server.offer(sh(READ, secrets=["A"], secret_files=["A"])) for _ in range(2))
        await until(
            lambda: all(b"unset" in server.logs[key] for key in (dies, lives)), "the jobs run"
        )
        assert len(in_memory(agent)) == 2
        await agent.kill()
        started = json.loads((agent.state / "attempts" / str(dies) / "started.json").read_bytes())
        os.kill(started["shim_pid"], signal.SIGKILL)
        await agent.start()
        assert (await server.end_of(dies)).end_reason is EndReason.LOST
        (kept,) = in_memory(agent)
        assert str(lives) in kept.name and (kept / "A").read_text() == CANARY
        server.cancel(lives)
        assert (await server.end_of(lives)).end_reason is EndReason.CANCELLED
        assert in_memory(agent) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user takes root")
async def test_a_job_of_another_user_reads_its_own_file(server: FakeServer) -> None:
    server.secrets = {"A": "hush"}
    folder = Path(tempfile.mkdtemp(prefix="secrets."))
    folder.chmod(0o755)
    try:
        async with AgentProcess(folder, server.url, '[jobs]\nrun_as = "nobody"\n') as agent:
            await server.online()
            script = 'id -un; tr a-z A-Z < "$A_FILE"; stat -c " %U %a" "$A_FILE" "${A_FILE%/A}"'
            key = server.offer(sh(script, secrets=["A"], secret_files=["A"]))
            assert (await server.end_of(key)).exit_code == 0
            assert said(server, key) == "nobody\nHUSH nobody 400\n nobody 700\n"
            assert in_memory(agent) == []
    finally:
        shutil.rmtree(folder)


def test_a_secret_as_a_file_through_remotectl(stack: Stack) -> None:
    folder = stack.root / "secrets"
    folder.mkdir()
    (folder / "KEY").write_text("line 1\nline 2\n")
    stack.agent("a", config=f'[secrets]\ndir = "{folder}"\n')
    # In large letters: as it is, it is masked.
    script = '(cat "$KEY_FILE"; echo "/${KEY-unset}") | tr a-z A-Z; cat "$KEY_FILE"'
    done = stack.ctl("run", "--secret", "KEY:file", "--shell", "sh", "--", script)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"LINE 1\nLINE 2/UNSET\n") and b"line" not in done.stdout
