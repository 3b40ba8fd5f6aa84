"""The stage of a chaos run: a real server, real agents, each with a disk and a line of its own.

Each actor's data lies on a small tmpfs that can be filled; each agent reaches the server through a
relay. Needs root for the mounts. Ends only processes that it started, by their ids.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bed import free_port, wait_until
from remote_client.client import Client
from remote_client.errors import ClientError
from remote_protocol.api import RegistrationTokenCreate
from remote_protocol.states import AgentState
from tests.support.relay import Relay

_BIN = Path(sys.executable).parent


class Actor:
    """A process that can be started, stopped, killed and signalled, with a disk of its own."""

    def __init__(self, name: str, command: list[object], disk: Path, log: Path) -> None:
        self.name = name
        self.disk = disk
        self.log = log
        self.starts = 0
        self._command = [str(part) for part in command]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the present incarnation."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; it may need a moment until it is ready."""
        self.starts += 1
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal if it is alive."""
        if self.running():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9 and reap."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that has no effect within 15 s."""
        self.signal(signal.SIGTERM)
        if self._process is None:
            return
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop on SIGTERM within 15 s") from None

    @contextlib.contextmanager
    def full_disk(self) -> Iterator[None]:
        """Not a byte is left on its disk inside the block."""
        filler = self.disk / ".filler"
        try:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(b"\0" * 65536):
                    pass
            yield
        finally:
            filler.unlink(missing_ok=True)


class Agent(Actor):
    """An agent behind a relay."""

    def __init__(self, name: str, disk: Path, log: Path, relay: Relay) -> None:
        command = [_BIN / "remote-agent", "run", "--state-dir", disk / "state"]
        super().__init__(name, command, disk, log)
        self.relay = relay


class Stage:
    """Everything that a chaos run plays on. Use as a context manager."""

    def __init__(self, agents: int, root: Path | None = None) -> None:
        self.root = root or Path(tempfile.mkdtemp(prefix="remote-chaos-"))
        self.records = self.root / "records"
        self.records.mkdir(parents=True)
        self.agents: list[Agent] = []
        self.disturbed: set[str] = set()
        self._mounts: list[Path] = []
        self._count = agents
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        disk = self._disk("server", "2g")
        command = [
            _BIN / "remote-server",
            "run",
            "--listen",
            f"127.0.0.1:{port}",
            "--data-dir",
            disk / "data",
        ]
        self.server = Actor("server", list(command), disk, self.root / "server.log")
        self._port = port
        self.client: Client

    def __enter__(self) -> Stage:
        try:
            self._build()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def disturb(self, job: str) -> None:
        """Note that a job was harmed on purpose."""
        self.disturbed.add(job)

    def ready(self) -> bool:
        """Whether the server answers and sees every agent online."""
        try:
            page = self.client.agents()
        except ClientError:
            return False
        return sum(agent.state is AgentState.ONLINE for agent in page.items) == self._count

    def calm(self) -> None:
        """Take every harm back and wait until server and agents are together again."""
        for agent in self.agents:
            agent.relay.heal()
        for actor in (self.server, *self.agents):
            actor.signal(signal.SIGCONT)
            if not actor.running():
                actor.start()
        wait_until(self.ready, "the stage after the faults", 120)

    def close(self) -> None:
        """End what was started, unmount, and remove the directory."""
        for actor in (*self.agents, self.server):
            actor.signal(signal.SIGCONT)
            with contextlib.suppress(AssertionError, OSError):
                actor.stop()
        for agent in self.agents:
            agent.relay.stop()
        for mount in self._mounts:
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def _build(self) -> None:
        self.server.start()
        token_file = self.server.disk / "data" / "admin-token"
        wait_until(token_file.exists, "the server's first token")
        self.client = Client(self.url, token_file.read_text().strip())
        wait_until(self._answers, "the server")
        for number in range(self._count):
            self._add_agent(f"agent-{number}")
        wait_until(self.ready, "the agents")

    def _answers(self) -> bool:
        try:
            return self.client.version().product == "remote-server"
        except ClientError:
            return False

    def _add_agent(self, name: str) -> None:
        relay = Relay(("127.0.0.1", self._port)).start()
        agent = Agent(name, self._disk(name, "512m"), self.root / f"{name}.log", relay)
        self.agents.append(agent)
        secret = self.root / f"{name}.token"
        secret.touch(0o600)
        secret.write_text(
            self.client.create_registration_token(RegistrationTokenCreate(uses=1)).token
        )
        configuration = self.root / f"{name}.toml"
        configuration.write_text('[limits]\nmin_free_disk = "8MiB"\n[logs]\nsegment_size = "1MB"\n')
        agent._command += ["--config", str(configuration)]
        subprocess.run(
            [
                _BIN / "remote-agent",
                "register",
                "--server",
                f"http://127.0.0.1:{relay.port}",
                "--token-file",
                secret,
                "--name",
                name,
                "--capacity",
                "4",
                "--state-dir",
                agent.disk / "state",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        agent.start()

    def _disk(self, name: str, size: str) -> Path:
        place = self.root / name
        place.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "chaos", place], check=True
        )
        self._mounts.append(place)
        return place


def pause(dice: random.Random, longest: float) -> None:
    """Wait for a random moment: faults must meet the system in every state."""
    time.sleep(dice.uniform(0.0, longest))
