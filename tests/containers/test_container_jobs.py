"""Jobs of the kind `container` in a real engine: what they see, how they end, what is left of them
when anything in between is killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from remote_agent.journal.secret_folders import prefix_in
from remote_agent.planning.engine import INSTALLATION
from remote_protocol.api.jobs import JobView
from remote_protocol.states import EndReason, JobState
from tests.containers.conftest import BASE
from tests.containers.engine import ROOT, Engine
from tests.support.stack import Agent, Program, Stack, until

SHARED = Path("/run/shared")
USER = 4321
CONFIG = f"""
[containers]
mounts = ["{SHARED}", "/usr/share:ro"]
networks = ["none", "default"]
"""


def of_jobs(engine: Engine, which: str) -> str:
    """The ids of containers that agents have made: other tests have servers in others."""
    return engine.call("ps", which, "--filter", f"label={INSTALLATION}")


@pytest.fixture
def stack(engine: Engine, tmp_path: Path) -> Iterator[Stack]:
    """A server whose agents find the engine."""
    SHARED.mkdir(exist_ok=True)
    with Stack(tmp_path) as stack:
        stack.everywhere["DOCKER_HOST"] = engine.env["DOCKER_HOST"]
        stack.start_server()
        yield stack
        # Containers are nobody's children here: what a test has left is the next one's, too.
        left = of_jobs(engine, "-aq").split()
        if left:
            engine.run("rm", "-f", *left)
        assert not left, left


@pytest.fixture
def agent(stack: Stack) -> Agent:
    """One agent with an engine."""
    return stack.agent("alpha", config=CONFIG)


def container(script: str, **fields: Any) -> dict[str, Any]:
    """A job that runs a script in the base image."""
    given = {"kind": "container", "image": BASE, "pull": "never", "command": ["sh", "-c", script]}
    return given | fields


def started(agent: Agent, job: str, attempt: int = 1) -> dict[str, Any]:
    """What the shim has noted about an attempt."""
    path = agent.state_dir / "attempts" / f"{job}.{attempt}" / "started.json"
    until(lambda: path.exists() and path.read_text(), str(path))
    return dict(json.loads(path.read_text()))


def detail(view: JobView) -> str:
    return view.end_detail or ""


def gone(engine: Engine) -> None:
    """Wait until there is no container of a job."""
    until(lambda: not of_jobs(engine, "-aq"), "every container is removed")


def ran(stack: Stack, script: str, **fields: Any) -> JobView:
    return stack.run(deadline=60, **container(script, **fields))


def begun(stack: Stack, script: str, **fields: Any) -> str:
    """A job that has printed `up`."""
    job = stack.submit(**container(f"echo up; {script}", **fields)).id
    stack.prints(job, b"up\n", 60)
    return job


def test_a_container_has_its_files_environment_and_streams(
    stack: Stack, agent: Agent, engine: Engine
) -> None:
    env = {"PLAIN": "a b=c #d", "LINES": "one\ntwo", "HIDDEN_VALUE": "not-for-ps-4711"}
    script = (
        'cat given; echo "[$PLAIN][$LINES]"; echo oops >&2; echo made > made; cat made;'
        'echo k=v >> "$REMOTE_OUTPUTS"; echo a > "$REMOTE_ARTIFACTS/a"; echo t > "$TMPDIR/t";'
        'test "$PWD" = "$REMOTE_WORK_DIR" && echo same; echo "$HOME"; exit 7'
    )
    file = {"path": "given", "content": "aGVsbG8K", "mode": 0o600}
    view = ran(stack, script, env=env, files=[file])
    assert (view.state, view.exit_code, view.end_reason) == ("failed", 7, "exit"), view.end_detail
    assert stack.client.log(view.id, stream="stdout") == (
        b"hello\n[a b=c #d][one\ntwo]\nmade\nsame\n/root\n"
    )
    assert stack.client.log(view.id, stream="stderr") == b"oops\n"
    assert view.outputs == {"k": "v"}
    gone(engine)


def test_no_value_is_in_a_command_line(stack: Stack, agent: Agent, engine: Engine) -> None:
    job = begun(stack, "sleep 60", env={"A": "not-for-ps-4711", "B": "not-for\nps-4711"})
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert any(b"docker" in line for line in lines)
    assert not any(b"ps-4711" in line for line in lines)
    stack.client.cancel(job)
    stack.reaches(job, JobState.CANCELLED)


def test_values_are_masked_by_the_mask_file(stack: Stack, agent: Agent) -> None:
    script = 'echo very-hidden > "$REMOTE_MASK"; sleep 1; echo "it is very-hidden"'
    view = ran(stack, script, mask=True, user="1000")
    assert view.state is JobState.SUCCEEDED, detail(view)
    assert stack.client.log(view.id) == b"it is ***\n"


def test_secrets_reach_a_container(stack: Stack, agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "TOKEN").write_text("first-line\nsecond-line")
    config = f'[secrets]\ndir = "{tmp_path}/secrets"\n'
    stack.agent("beta", config=config)
    view = ran(stack, 'echo "${#TOKEN}"; echo "$TOKEN"', secrets=["TOKEN"], agent="beta")
    assert view.state is JobState.SUCCEEDED, detail(view)
    shown = stack.client.log(view.id)
    assert shown.startswith(b"22\n") and b"first-line" not in shown


def in_memory(agent: Agent) -> list[Path]:
    """Folders with secrets of its jobs."""
    start = Path(prefix_in("/dev/shm", agent.state_dir)).name
    return [path for path in Path("/dev/shm").iterdir() if path.name.startswith(start)]


def with_secrets(stack: Stack, tmp_path: Path) -> Agent:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "KEY").write_text("first-line\nsecond-line")
    return stack.agent("beta", config=f'[secrets]\ndir = "{tmp_path}/secrets"\n')


@pytest.mark.parametrize("user", [None, "1000", "1000:1000"])
def test_secrets_reach_a_container_as_files(
    stack: Stack, engine: Engine, tmp_path: Path, user: str | None
) -> None:
    agent = with_secrets(stack, tmp_path)
    script = (
        'echo "$KEY_FILE"; wc -c < "$KEY_FILE"; tail -n 1 "$KEY_FILE"; echo;'
        'test -z "$KEY" && echo unset;'
        '{ echo x > "$KEY_FILE"; } 2>&1 || echo cannot; ls /run/remote-secrets; id -u'
    )
    fields = {"secrets": ["KEY"], "secret_files": ["KEY"], "agent": "beta"}
    view = ran(stack, script, **fields, **({} if user is None else {"user": user}))
    assert view.state is JobState.SUCCEEDED, detail(view)
    lines = stack.client.log(view.id).decode().splitlines()
    assert lines[:4] == ["/run/remote-secrets/KEY", "22", "***", "unset"], lines
    assert "cannot" in lines and lines[-2:] == ["KEY", "0" if user is None else "1000"]
    assert in_memory(agent) == []
    # Nothing of it is left in the engine's own directories, nor in the agent's.
    for folder in (engine.folder / "data", agent.state_dir, tmp_path / "server"):
        found = subprocess.run(
            ["grep", "-rlsa", "second-line", folder], capture_output=True, text=True, check=False
        )
        assert found.stdout == "", found.stdout
    gone(engine)


def test_secrets_as_files_go_after_a_crash_of_all(
    stack: Stack, engine: Engine, tmp_path: Path
) -> None:
    agent = with_secrets(stack, tmp_path)
    job = begun(
        stack, "sleep 600", secrets=["KEY"], secret_files=["KEY"], agent="beta", max_attempts=1
    )
    shim = started(agent, job)["shim_pid"]
    (folder,) = in_memory(agent)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "files" / "KEY").read_text().endswith("second-line")
    agent.kill()
    os.kill(shim, signal.SIGKILL)
    agent.start()
    stack.reaches(job, JobState.FAILED, 60)
    until(lambda: in_memory(agent) == [], "the folder is removed")
    gone(engine)


def test_standard_input_is_streamed(stack: Stack, agent: Agent) -> None:
    process = stack.ctl_start(
        "run", "--image", BASE, "--pull", "never", "--", "cat", stdin=subprocess.PIPE
    )
    data = os.urandom(3_000_000)
    out, err = process.communicate(data, timeout=90)
    assert (process.returncode, out) == (0, data), err


@pytest.mark.parametrize(
    ("fields", "code", "words"),
    [
        ({"image": "nosuch:1"}, 125, "No such image: nosuch:1; this host does not have the image"),
        (
            {"image": "127.0.0.1:1/x:1", "pull": "always"},
            125,
            "connection refused; the agent's host does not reach the image's registry",
        ),
        ({"command": ["nosuch"]}, 127, f"program 'nosuch' not found in the image {BASE}"),
        ({"command": ["/etc/passwd"]}, 126, "is not executable"),
        ({"user": "nobody-there"}, 125, "name a user that the image has, or a number"),
        ({"cwd": "/etc/passwd"}, 125, "the container of the image"),
    ],
)
def test_what_keeps_a_container_from_running_is_the_end_detail(
    stack: Stack, agent: Agent, engine: Engine, fields: dict[str, Any], code: int, words: str
) -> None:
    view = ran(stack, "true", **fields)
    assert (view.end_reason, view.exit_code) == ("spawn_error", code), view.end_detail
    assert words in detail(view)
    gone(engine)


def test_an_engine_that_is_away_or_closed_is_named(stack: Stack, engine: Engine) -> None:
    config = '[containers]\nengine = "/usr/bin/docker"\n'
    stack.agent("beta", config=config, DOCKER_HOST="unix:///run/nothing.sock")
    view = ran(stack, "true")
    assert view.end_reason == "spawn_error"
    assert "Cannot connect to the Docker daemon" in detail(view)
    assert "start the engine on the agent's host" in detail(view)


def test_the_memory_limit_is_the_engines(stack: Stack, agent: Agent, engine: Engine) -> None:
    command = ["python3", "-c", "x = bytearray(300 << 20)"]
    view = ran(stack, "", command=command, memory_limit=64 << 20)
    assert (view.end_reason, view.exit_code) == ("memory_limit", 137), view.end_detail
    assert view.end_detail == "killed: memory limit 64 MiB reached"


def test_a_container_is_interrupted_then_killed(stack: Stack, agent: Agent, engine: Engine) -> None:
    polite = begun(stack, "trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done")
    stack.client.cancel(polite)
    view = stack.reaches(polite, JobState.CANCELLED)
    assert view.exit_code == 3 and stack.client.log(polite) == b"up\nbye\n", view.end_detail
    deaf = begun(stack, "trap '' TERM; sleep 600", grace_period=1)
    stack.client.cancel(deaf)
    view = stack.reaches(deaf, JobState.CANCELLED)
    assert "killed by SIGKILL after SIGTERM and a grace period of 1s" in detail(view)
    gone(engine)


def test_a_timeout_covers_a_pull_that_hangs_and_a_cancel_ends_one(
    stack: Stack, agent: Agent, engine: Engine
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as registry:
        image = f"127.0.0.1:{registry.getsockname()[1]}/x:1"
        view = ran(stack, "true", image=image, pull="missing", timeout=2, grace_period=1)
        assert view.end_reason is EndReason.TIMEOUT
        assert "its container had not been started" in detail(view)
        job = stack.submit(**container("true", image=image, pull="missing")).id
        stack.reaches(job, JobState.RUNNING)
        stack.client.cancel(job)
        view = stack.reaches(job, JobState.CANCELLED)
        assert "its container had not been started" in detail(view)
    gone(engine)


def test_a_dead_shim_leaves_no_container_and_its_job_is_tried_again(
    stack: Stack, agent: Agent, engine: Engine
) -> None:
    job = begun(
        stack,
        'test "$REMOTE_ATTEMPT" = 2 || sleep 600; echo second',
        max_attempts=2,
        retry_backoff=0,
    )
    first = of_jobs(engine, "-q")
    os.kill(started(agent, job)["shim_pid"], signal.SIGKILL)
    view = stack.reaches(job, JobState.SUCCEEDED, 60)
    assert view.attempt == 2 and stack.client.log(job) == b"up\nsecond\n"
    assert first and first not in of_jobs(engine, "-aq")
    gone(engine)


def test_a_dead_agent_changes_nothing(stack: Stack, agent: Agent, engine: Engine) -> None:
    job = begun(stack, "i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $i; sleep 0.1; done; exit 5")
    agent.kill()
    agent.start()
    view = stack.reaches(job, JobState.FAILED, 60)
    lines = "".join(f"{i}\n" for i in range(1, 41))
    assert view.exit_code == 5
    assert stack.client.log(job) == f"up\n{lines}".encode()
    gone(engine)


def test_the_death_of_shim_agent_and_client_together_leaves_nothing(
    stack: Stack, agent: Agent, engine: Engine
) -> None:
    job = begun(stack, "trap '' TERM; sleep 600")
    shim, (client,) = started(agent, job)["shim_pid"], _clients()
    agent.kill()
    os.kill(client, signal.SIGSTOP)  # so that its shim has nothing to report before it dies
    os.kill(shim, signal.SIGKILL)
    with suppress(ProcessLookupError):  # the launcher may have been faster
        os.kill(client, signal.SIGKILL)
    assert of_jobs(engine, "-q")
    agent.start()
    view = stack.reaches(job, JobState.FAILED, 60)
    assert view.end_reason is EndReason.LOST and "the shim died" in detail(view)
    gone(engine)


def test_a_container_without_its_client_is_killed(
    stack: Stack, agent: Agent, engine: Engine
) -> None:
    job = begun(stack, "trap '' TERM; sleep 600")
    (client,) = _clients()
    os.kill(client, signal.SIGKILL)
    view = stack.reaches(job, JobState.FAILED, 60)
    assert view.end_reason is EndReason.LOST
    assert "the engine's client that carried its output has ended (killed by SIGKILL)" in detail(
        view
    )
    gone(engine)


def _clients() -> list[int]:
    """The engine's clients that carry the output of containers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = path.read_bytes().split(b"\0") if path.exists() else []
        if words[0].endswith(b"/docker") and b"start" in words:
            found.append(int(path.parent.name))
    return found


def test_what_was_left_behind_is_found_by_its_labels(
    stack: Stack, agent: Agent, engine: Engine
) -> None:
    view = ran(stack, "true")
    spy = begun(stack, "sleep 600")
    labels = engine.inspect(f"remote-{spy}-1")["Config"]["Labels"]
    own = ("--label", f"remote.installation={labels['remote.installation']}")
    old = ("--label", f"remote.attempt={view.id}.1")
    left = f"remote-{view.id}-1"
    engine.call("run", "-d", "--name", left, *own, *old, BASE, "sleep", "600")
    engine.call("run", "-d", "--name", "other", *old, BASE, "sleep", "600")
    agent.stop()
    agent.start()
    until(lambda: left not in engine.call("ps", "-a", "--format", "{{.Names}}").split(), "swept")
    assert engine.inspect("other")["State"]["Running"]
    engine.call("rm", "-f", "other")
    stack.client.cancel(spy)
    stack.reaches(spy, JobState.CANCELLED)


def test_only_what_the_owner_allows_is_mounted(stack: Stack, agent: Agent) -> None:
    mount = {"source": str(SHARED), "target": "/in"}
    assert ran(stack, "echo x > /in/x", mounts=[mount]).state is JobState.SUCCEEDED
    assert (SHARED / "x").read_text() == "x\n"
    read_only = {"source": "/usr/share", "target": "/in", "read_only": True}
    view = ran(stack, "touch /in/x 2>&1 || echo kept", mounts=[read_only])
    assert b"kept" in stack.client.log(view.id)
    for bad, words in (
        ({"source": "/etc", "target": "/in"}, "does not let jobs mount /etc"),
        ({"source": f"{SHARED}/x", "target": "/in"}, f"does not let jobs mount {SHARED}/x"),
        ({"source": "/usr/share", "target": "/in"}, "with read_only: true only"),
    ):
        view = ran(stack, "true", mounts=[bad])
        assert view.end_reason is EndReason.REJECTED and words in detail(view)
    view = ran(stack, "true", network="host")
    assert view.end_reason is EndReason.REJECTED
    assert "does not give the network 'host' to containers" in detail(view)


def test_an_agent_without_an_engine_gets_no_containers(stack: Stack) -> None:
    stack.agent("bare", config='[containers]\nengine = "off"\n')
    job = stack.submit(**container("true")).id
    until(
        lambda: (
            "runs jobs of the kind container (agent: bare)"
            in (stack.client.job(job).pending_reason or "")
        ),
        "it says why it waits",
    )
    done = stack.ctl("run", "--explain", "--image", BASE, "--", "true")
    assert done.returncode == 125 and b"RUNS container" in done.stdout
    stack.agent("able", config=CONFIG)
    assert stack.reaches(job, JobState.SUCCEEDED, 60).agent == "able"


def test_files_of_root_are_given_back_to_an_agent_that_is_not_root(
    stack: Stack, engine: Engine
) -> None:
    os.chmod("/run/containers/docker.sock", 0o666)
    os.chmod("/run/containers", 0o755)
    place = Path("/run/agent-of-user")
    stack.register("user")
    shutil.move(stack.root / "agent-user", place)
    for path in (place, *place.rglob("*")):
        os.chown(path, USER, USER)
    own = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    # A checkout may be closed to others, and so may its Python.
    env = stack.env(HOME=str(place), REMOTE_AGENT_PROGRAM_DIR=str(place / "programs"))
    program = Program(
        "user",
        [*own, ROOT / "dist" / "remote-agent", "run", "--state-dir", place],
        env,
        stack.root / "out",
    )
    program.start()
    try:
        until(lambda: "online" in program.words(), program.words(), 15)
        script = 'id -u; mkdir -m 700 deep; touch deep/x; touch "$REMOTE_ARTIFACTS/a"'
        job = stack.submit(**container(script)).id
        try:
            view = stack.reaches(job, JobState.SUCCEEDED)
        except AssertionError:
            raise AssertionError(f"{stack.client.job(job)}{program.words()}") from None
        assert stack.client.log(view.id) == b"0\n"
        key = f"{view.id}.1"
        until(lambda: not (place / "attempts" / key / "work").exists(), "its directory is removed")
        until(lambda: not list((place / "attempts").glob(".trash/*")), "the trash is empty")
        gone(engine)
    finally:
        program.stop()
