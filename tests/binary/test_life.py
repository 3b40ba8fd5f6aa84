"""An agent that is a binary: it enrols, runs jobs, dies, comes back and is updated under them."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_protocol.states import JobState
from tests.binary.conftest import DIST, Binary
from tests.support.stack import AGENT, BIN, Agent, Stack, until


@pytest.fixture
def stack(tmp_path: Path, dist: Path) -> Iterator[Stack]:
    """A server, and agents that unpack themselves into a directory of this test."""
    assert AGENT.samefile(dist / "remote-agent"), "AGENT names the binary; make test-binary does"
    with Stack(tmp_path, AGENTS_HEARTBEAT_INTERVAL="0.5s") as stack:
        stack.everywhere["REMOTE_AGENT_PROGRAM_DIR"] = str(tmp_path / "programs")
        stack.start_server()
        yield stack


def users_of(folder: Path) -> set[int]:
    """The processes that run a program in this folder."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if Path(os.readlink(entry / "exe")).is_relative_to(folder):
                    found.add(int(entry.name))
            except OSError:
                continue
    return found


def open_files(pid: int) -> list[str]:
    """What a process has open; nothing of one that has ended."""
    found = []
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                found.append(os.readlink(link))
    return found


def counting(stop: Path) -> str:
    """A job that writes numbered lines to both streams until a file is there."""
    return (
        f"i=0; while [ ! -e {stop} ]; do\n"
        "  echo out $i; echo err $i >&2; i=$((i+1)); sleep 0.01\n"
        "done\n"
        f"echo $i > {stop}.count\n"
    )


def test_a_job_outlives_kills_restarts_and_an_update(
    stack: Stack, tmp_path: Path, another_version: Path
) -> None:
    agent = stack.agent("a")
    programs, stop = tmp_path / "programs" / "remote-agent-program", tmp_path / "stop"
    (old,) = programs.iterdir()
    job = stack.submit(counting(stop))
    stack.reaches(job.id, JobState.RUNNING)
    assert agent.pid in users_of(old), "what was started is the agent itself, not its parent"

    agent.kill()
    shims = users_of(old)
    assert shims, "the job's shim runs on"
    agent.start()
    stack.online("a")

    assert agent.stop() == 0
    agent.command[0] = str(another_version)
    agent.start()
    stack.online("a")
    newer = next(folder for folder in programs.iterdir() if folder != old)
    assert newer.name.startswith("9.9.9-") and agent.pid in users_of(newer)
    assert old.exists() and users_of(old), "the job's shim still runs from the old version"
    other = stack.submit("echo from the new version")
    assert stack.client.wait(other.id, 30).state is JobState.SUCCEEDED

    agent.kill()
    agent.start()
    stack.online("a")
    stop.touch()
    ended = stack.client.wait(job.id, 30)
    assert (ended.state, ended.exit_code, ended.attempt) == (JobState.SUCCEEDED, 0, 1)
    count = int(Path(f"{stop}.count").read_text())
    for stream, word in (("stdout", "out"), ("stderr", "err")):
        whole = "".join(f"{word} {number}\n" for number in range(count)).encode()
        assert stack.client.log(job.id, stream=stream) == whole

    until(lambda: not users_of(old), "nothing runs from the old version any more")
    Binary(another_version, programs.parent).run("version")
    assert not old.exists(), "the next start removes it"


def test_damage_under_a_running_job_is_repaired(stack: Stack, tmp_path: Path) -> None:
    agent = stack.agent("a")
    stop = tmp_path / "stop"
    job = stack.submit(counting(stop))
    stack.reaches(job.id, JobState.RUNNING)
    agent.kill()
    (version,) = (tmp_path / "programs" / "remote-agent-program").iterdir()
    (library,) = (version / "_internal").glob("libpython3*")
    content = library.read_bytes()
    library.unlink()
    library.write_bytes(content[:100_000])
    agent.start()
    stack.online("a")
    assert library.read_bytes() == content
    stop.touch()
    assert stack.client.wait(job.id, 30).state is JobState.SUCCEEDED


def test_a_job_sees_what_it_would_of_a_checkout(stack: Stack) -> None:
    """Environment and descriptors, beside what differs for each job."""
    script = (
        "env | sort; echo; ls /proc/self/fd; echo; ulimit -n; "
        "grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status"
    )
    seen = []
    for name, program in (("binary", AGENT), ("checkout", BIN / "remote-agent")):
        stack.everywhere["LD_LIBRARY_PATH"] = "/opt/somewhere"
        stack.register(name)
        agent = stack.agent(name)
        agent.stop()
        agent.command[0] = str(program)
        agent.start()
        stack.online(name)
        job = stack.run(script, agent=name)
        text = stack.client.log(job.id, stream="stdout").decode()
        kept = [
            line
            for line in text.splitlines()
            if not re.match(r"(REMOTE_|PWD|TMPDIR|OLDPWD|TRACEPARENT)", line)
        ]
        seen.append(kept)
        assert "_PYI" not in text and "_MEI" not in text and "LD_LIBRARY_PATH" not in text
        assert "_REMOTE" not in text
        agent.stop()
    assert seen[0] == seen[1]


def test_shims_keep_the_directory_of_their_program(stack: Stack, tmp_path: Path) -> None:
    agent = stack.agent("a")
    job = stack.submit("sleep 60")
    stack.reaches(job.id, JobState.RUNNING)
    (version,) = (tmp_path / "programs" / "remote-agent-program").iterdir()

    def all_keep_it() -> bool:
        shims = users_of(version) - {agent.pid}
        return bool(shims) and all(str(version) in open_files(shim) for shim in shims)

    # One that has just been started, or ends, does not have it.
    until(all_keep_it, "shims keep the directory")
    stack.client.cancel(job.id)


def test_remotectl_runs_a_job(stack: Stack, tmp_path: Path) -> None:
    stack.agent("a")
    done = subprocess.run(
        [DIST / "remotectl", "run", "--", "sh", "-c", "echo out; echo err >&2; exit 3"],
        env={
            "REMOTE_PROGRAM_DIR": str(tmp_path / "client"),
            "REMOTE_URL": stack.url,
            "REMOTE_TOKEN": stack.admin_token,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (3, "out\n"), done.stderr
    assert "err" in done.stderr


def test_a_token_of_the_environment_is_forgotten(stack: Stack, tmp_path: Path) -> None:
    """`run` enrols, and executes the program again without the token."""
    token = stack.registration_token()
    agent = Agent(
        "agent by environment",
        [AGENT, "run", "--state-dir", tmp_path / "state"],
        stack.env(
            REMOTE_AGENT_SERVER=stack.url, REMOTE_AGENT_TOKEN=token, REMOTE_AGENT_NAME="bare"
        ),
        tmp_path / "bare.out",
    )
    stack.agents["bare"] = agent
    agent.start()
    until(lambda: [a.name for a in stack.client.agents().items] == ["bare"], "it enrols")
    stack.online("bare")
    environ = Path(f"/proc/{agent.pid}/environ").read_bytes()
    assert b"REMOTE_AGENT_NAME=bare" in environ and token.encode() not in environ
    job = stack.run("echo hi")
    assert stack.client.log(job.id) == b"hi\n"


def test_ctrl_c_arrives(stack: Stack) -> None:
    agent = stack.agent("a")
    agent.send(signal.SIGINT)
    assert agent.wait() == 0


def test_the_demo_plays_with_the_binary(dist: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "python", "-m", "demo.run"],
        cwd=DIST.parent,
        env={**os.environ, "AGENT": str(dist / "remote-agent"), "TMPDIR": str(tmp_path)},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all three ended as intended" in done.stdout
    assert list(tmp_path.iterdir()) == []
