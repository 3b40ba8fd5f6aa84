"""A server in a container, agents in others, jobs whose output is known."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from tests.containers.engine import Engine, until

NETWORK: Final = "stack"
URL: Final = "http://server:8750"
HARDENED: Final = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges"),
)
_BIN: Final = Path(sys.executable).parent
_LINE: Final = "line {} of a job, with some words\n"


def expected(lines: int) -> str:
    """What `writer` writes."""
    return "".join(_LINE.format(i) for i in range(1, lines + 1))


def writer(lines: int, pause: float = 0.05) -> str:
    """A shell script that writes lines, fifty at a time."""
    return (
        f'i=0; while [ $i -lt {lines} ]; do i=$((i+1)); echo "{_LINE.strip().format("$i")}"; '
        f"[ $((i % 50)) = 0 ] && sleep {pause}; done; true"
    )


class Stack:
    """The server's container is named `server`; agents have the names of their containers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._env: dict[str, str] = {}

    def start_server(self) -> None:
        """Start it, and wait until it is healthy, as its image says."""
        docker = self.engine
        docker.call("network", "create", NETWORK)
        options = ("--network", NETWORK, *HARDENED, "--health-interval", "1s")
        docker.call("run", "-d", "--name", "server", *options, "remote-server")
        until(lambda: self.health("server") == "healthy", "the server is healthy")
        address = docker.inspect("server")["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
        token = docker.call("exec", "server", "cat", "/var/lib/remote-server/admin-token")
        self._env = {
            "PATH": docker.env["PATH"],
            "HOME": docker.env["HOME"],
            "REMOTE_URL": f"http://{address}:8750",
            "REMOTE_INSECURE": "1",
            "REMOTE_TOKEN": token,
        }

    def health(self, container: str) -> str:
        """What the engine says of it."""
        return str(self.engine.inspect(container)["State"]["Health"]["Status"])

    def ctl(self, *words: object) -> bytes:
        """`remotectl …`, which must succeed; what it printed."""
        return self._ctl(*words).stdout

    def _ctl(self, *words: object) -> subprocess.CompletedProcess[bytes]:
        done = subprocess.run(
            [_BIN / "remotectl", *map(str, words)],
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
        return done

    def token(self, *flags: str) -> str:
        """A registration token."""
        made = self.ctl("registration-token", "create", "--output", "json", *flags)
        return str(json.loads(made)["token"])

    # Agents --------------------------------------------------------------------------------

    def agent(self, name: str, *options: object, words: tuple[str, ...] = (), **env: str) -> None:
        """Start one that enrols by its environment, and wait until it is online."""
        given = {"SERVER": URL, "INSECURE": "1", "TOKEN": self.token(), **env}
        self.run_agent(name, *options, words=words, **given)
        self.online(name)

    def run_agent(
        self, name: str, *options: object, words: tuple[str, ...] = (), **env: str
    ) -> None:
        """Start a container with nothing but this of `REMOTE_AGENT_…`."""
        variables = [f"--env=REMOTE_AGENT_{key}={value}" for key, value in env.items()]
        place = ("--network", NETWORK, "--name", name, "--hostname", name)
        self.engine.call(
            "run", "-d", *place, *HARDENED, *variables, *options, "remote-agent", *words
        )

    def shown(self, name: str) -> dict[str, Any] | None:
        """What the server knows of an agent; None when it knows none of this name."""
        found = json.loads(self.ctl("agent", "list", "--output", "json"))
        return next((row for row in found["items"] if row["name"] == name), None)

    def online(self, name: str) -> dict[str, Any]:
        """Wait until it is; what the server knows of it."""

        def is_online() -> dict[str, Any] | None:
            state = self.engine.inspect(name)["State"]
            assert state["Running"], self.engine.log(name)
            row = self.shown(name)
            return row if row and row["state"] == "online" else None

        found = until(is_online, f"agent {name} is online")
        assert found is not None
        return found

    def process(self, name: str) -> int:
        """The pid of the agent within its container; 0 while none answers."""
        done = self.engine.run("exec", name, "remote-agent", "status", "--output", "json")
        return int(json.loads(done.stdout or "{}").get("pid", 0))

    def remove(self, *names: str) -> None:
        """Remove containers with the volumes that have no name."""
        self.engine.call("rm", "-f", "-v", *names)

    # Jobs ----------------------------------------------------------------------------------

    def submit(self, agent: str, script: str, *flags: str) -> str:
        """Submit a job for this agent; its id."""
        words = ("run", "--detach", "--agent", agent, *flags, "--", "sh", "-c", script)
        return self.ctl(*words).decode().strip()

    def job(self, job: str) -> dict[str, Any]:
        """What the server knows of it."""
        found: dict[str, Any] = json.loads(self.ctl("job", "show", job, "--output", "json"))
        return found

    def log(self, job: str, stream: str = "stdout") -> bytes:
        """What it has written; remotectl has the same streams."""
        done = self._ctl("job", "logs", job, "--stream", stream)
        return done.stdout if stream == "stdout" else done.stderr

    def running(self, job: str) -> str:
        """Wait until it has written something; its id."""
        until(lambda: self.job(job)["state"] == "running" and self.log(job), f"job {job} runs")
        return job

    def ended(self, job: str) -> dict[str, Any]:
        """Wait for its end; what the server knows of it then."""

        def end() -> dict[str, Any] | None:
            found = self.job(job)
            return found if found["state"] not in ("queued", "assigned", "running") else None

        found = until(end, f"job {job} ends")
        assert found is not None
        return found

    def is_whole(self, job: str, lines: int) -> None:
        """It has succeeded, in one attempt, and its log is what it wrote, byte for byte."""
        found = self.ended(job)
        assert (found["state"], found["attempt"]) == ("succeeded", 1), found
        text = self.log(job)
        assert hashlib.sha256(text).digest() == hashlib.sha256(expected(lines).encode()).digest()
