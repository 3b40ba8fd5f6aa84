"""Real `remote-server` and `remote-agent` processes on free loopback ports, for the e2e tests.

    with Stack(tmp_path) as stack:
        stack.start_server()
        stack.agent("a", capacity="4")
        job = stack.run(command=["echo", "hi"])

Every process carries a marker in its environment; `close` ends whatever still carries it, so
that nothing outlives a test, and `survivors` names it. Only processes of this stack are touched.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

from remote_client.client import Client
from remote_protocol.api.jobs import JobView
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.spec import JobSpec
from remote_protocol.states import AgentState, JobState
from tests.support import forked
from tests.support.databases import KIND, new_database
from tests.support.ports import free_port

BIN = Path(sys.executable).parent
AGENT = Path(os.environ.get("AGENT") or BIN / "remote-agent").absolute()
"""The agent's program: this checkout's, or a binary of `make build`."""
PROGRAMS = Path(__file__).resolve().parents[2] / "build" / "programs"
"""Where binaries unpack themselves."""
MARKER = "REMOTE_E2E_STACK_MARK"
DEADLINE = 30.0
"""Seconds for what should happen soon; agents wait RECONNECT at the most after an outage."""
RECONNECT = "1s"
T = TypeVar("T")


def until(condition: Callable[[], T], what: str = "", deadline: float = DEADLINE) -> T:
    """The condition's value once it is true. AssertionError when `deadline` seconds pass."""
    end, pause = time.monotonic() + deadline, 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"did not happen within {deadline:g} s: {what or condition}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def says(text: str, *words: str) -> None:
    """One sentence that holds all of the words, and no traceback."""
    assert "Traceback" not in text, text
    for word in words:
        assert word in text, f"{word!r} is not in: {text}"


class Program:
    """One long-running program with its output in a file; `name` is for error messages."""

    def __init__(self, name: str, command: Sequence[object], env: dict[str, str], log: Path):
        self.name = name
        self.command = [str(part) for part in command]
        self.env = env
        self.log = log
        self.started_at = datetime.max.replace(tzinfo=UTC)
        """A moment before its process began."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start it (again)."""
        assert not self.running, f"{self.name} runs already"
        self.started_at = datetime.now(UTC)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self.env,
                start_new_session=True,
            )
        return self

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this one process."""
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, deadline: float = DEADLINE) -> int:
        """Its exit code."""
        assert self._process is not None
        try:
            return self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs:\n{self.words()[-4000:]}") from None

    def freeze(self) -> None:
        """SIGSTOP; returns when none of its threads does anything any more."""
        self.send(signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def kill(self) -> None:
        """SIGKILL, as a crash does; returns when it is gone."""
        self.send(signal.SIGKILL)
        self.wait()

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def words(self) -> str:
        """What it has printed."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Agent(Program):
    """A registered agent's process and its state directory."""

    state_dir: Path

    def cli(self, *arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a `remote-agent` command on the same state directory."""
        command, *rest = [str(argument) for argument in arguments]
        return _run(
            [AGENT, command, "--state-dir", self.state_dir, *rest],
            self.env,
            check,
        )


class Stack:
    """A server, its agents, and clients for them, all below one directory."""

    def __init__(self, root: Path, **server_env: str) -> None:
        self.everywhere: dict[str, str] = {}
        """Variables of all its programs."""
        self.root = root
        self.mark = uuid.uuid4().hex
        self.port = free_port()
        self.data_dir = root / "server"
        self.agents: dict[str, Agent] = {}
        self.ca_file: Path | None = None
        """Who signed the server's certificate; with it, everybody comes by https."""
        self._client: Client | None = None
        if KIND != "sqlite":
            server_env.setdefault("DATABASE", new_database(root))
        env = self.env(**{f"REMOTE_SERVER_{key}": value for key, value in server_env.items()})
        self.server = Program(
            "remote-server",
            [BIN / "remote-server", "run", "--listen", f"127.0.0.1:{self.port}",
             "--data-dir", self.data_dir],
            env,
            root / "server.out",
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def env(self, **extra: str) -> dict[str, str]:
        """A clean environment with the stack's mark."""
        (self.root / "home").mkdir(exist_ok=True)
        kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        home = str(self.root / "home")
        soon = {
            "REMOTE_AGENT_SERVER_MAX_RECONNECT_WAIT": RECONNECT,
            "REMOTE_AGENT_PROGRAM_DIR": str(PROGRAMS),
        }
        return {**kept, "HOME": home, MARKER: self.mark, **soon, **self.everywhere, **extra}

    @property
    def url(self) -> str:
        """The server's URL."""
        scheme = "http" if self.ca_file is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def admin_token(self) -> str:
        """The first admin token."""
        return (self.data_dir / "admin-token").read_text().strip()

    @property
    def client(self) -> Client:
        """An admin's client."""
        if self._client is None:
            ca_file = None if self.ca_file is None else str(self.ca_file)
            self._client = Client(self.url, self.admin_token, ca_file=ca_file)
        return self._client

    def start_server(self) -> None:
        """Start the server (again) and wait until it answers."""
        self.server.start()
        until(self._answers, "the server answers")

    def _answers(self) -> bool:
        assert self.server.running, f"the server ended:\n{self.server.words()[-4000:]}"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    # Agents ----------------------------------------------------------------------------------

    def registration_token(self, **fields: Any) -> str:
        """A new registration token; it covers everything, unless the test says what it covers."""
        if "queues" not in fields:
            fields = {"any_queue": True, **fields}
        request = RegistrationTokenCreate(**{"uses": None, "allow_replace": True, **fields})
        return self.client.create_registration_token(request).token

    def remote_agent(self, *words: object) -> subprocess.CompletedProcess[str]:
        """Any call of `remote-agent`."""
        return _run([BIN / "remote-agent", *words], self.env(), check=False)

    def register(
        self,
        name: str,
        *options: object,
        token: str | None = None,
        url: str | None = None,
        check: bool = True,
        **env: str,
    ) -> subprocess.CompletedProcess[str]:
        """`remote-agent register`."""
        return _run(
            [AGENT, "register", "--state-dir", self.root / f"agent-{name}",
             "--server", url or self.url, "--name", name, *options],
            self.env(REMOTE_AGENT_TOKEN=token or self.registration_token(), **env),
            check,
        )  # fmt: skip

    def agent(
        self,
        name: str,
        *options: object,
        url: str | None = None,
        config: str = "",
        capacity: object = 4,
        run: Sequence[object] = (),
        online: bool = True,
        **env: str,
    ) -> Agent:
        """Register and start an agent and wait until it is online. `config` is TOML, `run` are
        more options of `remote-agent run`, `env` is for both commands."""
        self.register(name, "--capacity", capacity, *options, url=url, check=True, **env)
        state_dir = self.root / f"agent-{name}"
        command = [AGENT, "run", "--state-dir", state_dir, *run]
        if config:
            file = self.root / f"agent-{name}.toml"
            file.write_text(config)
            command += ["--config", file]
        out = self.root / f"agent-{name}.out"
        agent = Agent(f"agent {name}", command, self.env(**env), out)
        agent.state_dir = state_dir
        self.agents[name] = agent
        agent.start()
        if online:
            self.online(name)
        return agent

    def online(self, name: str) -> None:
        """Wait until an agent is online: its present process, not one that was killed and is online
        as long as the server has not noticed."""
        agent = self.agents[name]

        def reached() -> bool:
            assert agent.running, f"{agent.name} ended:\n{agent.words()[-4000:]}"
            view = self.client.agent(name)
            since = view.connected_at or datetime.min.replace(tzinfo=UTC)
            return view.state is AgentState.ONLINE and since > agent.started_at

        until(reached, f"agent {name} is online")

    # Jobs ------------------------------------------------------------------------------------

    def submit(self, script: str | None = None, **fields: Any) -> JobView:
        """Submit a job: a shell script or the fields of a JobSpec."""
        if script is not None:
            fields = {"shell": "sh", "script": script, **fields}
        return self.client.submit(JobSpec.model_validate(fields))

    def run(self, script: str | None = None, *, deadline: float = 30, **fields: Any) -> JobView:
        """Submit a job and wait for its end."""
        return self.client.wait(self.submit(script, **fields).id, deadline)

    def reaches(self, job: str, state: JobState, deadline: float = DEADLINE) -> JobView:
        """The job once it is in that state."""

        def look() -> JobView | None:
            view = self.client.job(job)
            if view.state.terminal and view.state is not state:
                raise AssertionError(f"{job} is {view.state}: {view.end_detail}")
            return view if view.state is state else None

        found = until(look, f"{job} is {state}", deadline)
        assert found is not None
        return found

    def prints(self, job: str, text: bytes, deadline: float = DEADLINE) -> None:
        """Wait until the job's log holds `text`."""
        until(lambda: text in self.client.log(job), f"{job} prints {text!r}", deadline)

    def ctl(
        self, *arguments: object, token: str | None = None, check: bool = False, **env: str
    ) -> subprocess.CompletedProcess[bytes]:
        """Run `remotectl` as an admin, or with another token."""
        process = self.ctl_start(*arguments, token=token, **env)
        out, err = process.communicate(timeout=60)
        done = subprocess.CompletedProcess(process.args, process.returncode, out, err)
        assert not check or done.returncode == 0, f"{done.args}: {err.decode()}"
        return done

    def ctl_start(
        self, *arguments: object, token: str | None = None, stdin: Any = None, **env: str
    ) -> subprocess.Popen[bytes]:
        """Start `remotectl` with pipes; its standard input is empty by default."""
        access = {"REMOTE_URL": self.url, "REMOTE_TOKEN": token or self.admin_token}
        if self.ca_file is not None:
            access["REMOTE_CA_FILE"] = str(self.ca_file)
        return subprocess.Popen(
            [str(part) for part in (BIN / "remotectl", *arguments)],
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env(**(access | env)),
        )

    def ctl_json(self, *arguments: object) -> Any:
        """What `remotectl … --output json` prints."""
        return json.loads(self.ctl(*arguments, "--output", "json", check=True).stdout)

    # The end ---------------------------------------------------------------------------------

    def survivors(self) -> dict[int, str]:
        """Processes that still carry the stack's mark, and jobs: pid and command line."""
        # Jobs have a clean environment, in which their work directory tells whose they are.
        marks = (f"{MARKER}={self.mark}".encode(), f"REMOTE_WORK_DIR={self.root}/".encode())
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                environment = (entry / "environ").read_bytes()
                if any(mark in environment for mark in marks):
                    words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                    found[int(entry.name)] = words.decode(errors="replace")
        return found

    def close(self) -> None:
        """End everything: agents, the server, and what they left."""
        if self._client is not None:
            self._client.close()
        for program in (*self.agents.values(), self.server):
            if program.running:
                program.send(signal.SIGCONT)
                program.send(signal.SIGTERM)
        for program in (*self.agents.values(), self.server):
            if program.running:
                with contextlib.suppress(AssertionError):
                    program.wait(5)
        # Agents leave jobs running by design: shims and jobs are ended here.
        until(self._nobody_left, "every process of the stack has ended")

    def _nobody_left(self) -> bool:
        left = self.survivors()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # One that is about to end shows no environment any more.
        programs = (*self.agents.values(), self.server)
        running = [program for program in programs if program.running]  # reaps them, too
        return not left and not running


def _run(
    command: Sequence[object], env: dict[str, str], check: bool
) -> subprocess.CompletedProcess[str]:
    """A call of `remote-agent` to its end."""
    words = [str(part) for part in command]
    if command[0] == BIN / "remote-agent":
        done = forked.call("remote_agent.__main__", words, env, 60)
    else:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env=env,
            check=False,
        )
    assert not check or done.returncode == 0, f"{done.args}: {done.stdout}{done.stderr}"
    return done
