"""The stage of a chaos run: a real server, real agents, each with its own disk, line and clock.

Each actor's data lies on a small tmpfs that can be filled, and its wall clock can be set. Agents
reach the server through a relay; the last one lives in a network namespace behind a cable. Needs
root. Ends only processes that it started, and what they started: all carry its mark.
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
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.bed import wait_until
from remote_client.client import Client
from remote_client.errors import ClientError
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.states import AgentState
from tests.chaos.cable import Cable
from tests.chaos.checker import SECRET, carriers
from tests.chaos.clock import Clock
from tests.chaos.network import SERVER_ADDRESS, Cell, make_cell
from tests.support.ports import free_port
from tests.support.relay import Relay

_SHIFTED = Path(__file__).with_name("shifted.py")
_REMEMBERED = 1024 * 1024
# The address of the cell is not of the loopback, and nobody else is on its cable.
_ENVIRONMENT = {**os.environ, "REMOTE_INSECURE": "1"}
MARK = "REMOTE_CHAOS_STAGE"
"""Environment variable that every process of a stage carries; its value is the stage's root."""


class Missed(Exception):
    """A fault found nothing that it could harm: it does not count."""


class Actor:
    """A program that can be started, stopped, killed, signalled, with disk and clock of its own."""

    def __init__(
        self, name: str, root: Path, program: str, arguments: Sequence[object], cell: Cell | None
    ) -> None:
        self.name = name
        self.disk = root / name
        self.log = root / f"{name}.log"
        self.clock = Clock(root / f"{name}.clock")
        self.cell = cell
        self._mark = str(root)
        namespace = "-" if cell is None else str(cell.namespace)
        world = [sys.executable, _SHIFTED, self.clock.path, namespace]
        self._command = [str(part) for part in (*world, program, *arguments)]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the present incarnation."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it; it may need a moment until it is ready."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # In a network of its own nobody is on the way.
                env={**_ENVIRONMENT, MARK: self._mark},
                pass_fds=() if self.cell is None else (self.cell.namespace,),
            )

    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal if it is alive."""
        if self.running():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9 and reap."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(30)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that has no effect within 45 s."""
        self.signal(signal.SIGTERM)
        if self._process is None:
            return
        try:
            self._process.wait(45)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop on SIGTERM within 45 s") from None

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
    """An agent behind a relay, or in a cell."""

    def __init__(self, name: str, root: Path, line: Relay | Cell) -> None:
        arguments = ["run", "--state-dir", root / name / "state", "--config", root / f"{name}.toml"]
        cell = line if isinstance(line, Cell) else None
        super().__init__(name, root, "remote_agent", arguments, cell)
        self.relay = None if isinstance(line, Cell) else line

    @property
    def line(self) -> Relay | Cable:
        """What can be harmed in either case."""
        if self.cell is not None:
            return self.cell.cable
        assert self.relay is not None
        return self.relay


class Stage:
    """Everything that a chaos run plays on. Use as a context manager.

    `without_cells` says why there are no namespaces; empty when the last agent lives in one.
    """

    def __init__(self, agents: int, seed: int = 0, without_cells: str = "not asked for") -> None:
        self.root = Path(tempfile.mkdtemp(prefix="remote-chaos-"))
        self.records = self.root / "records"
        self.records.mkdir(parents=True)
        (self.records / "secret").write_bytes(SECRET)
        self.agents: list[Agent] = []
        self.disturbed: set[str] = set()
        self.complaints: list[str] = []
        self.revived = 0
        """Programs that had ended by themselves and were started again."""
        self.without_cells = without_cells
        self._mounts: list[Path] = []
        self._count = agents
        self._cell = self._make_cell(seed)
        self.address = (SERVER_ADDRESS if self._cell else "127.0.0.1", free_port())
        self.url = "http://{}:{}".format(*self.address)
        listen = "{}:{}".format(*self.address)
        arguments = ["run", "--listen", listen, "--data-dir", self.root / "server" / "data"]
        self.server = Actor("server", self.root, "remote_server", arguments, None)
        self.client: Client

    def _make_cell(self, seed: int) -> Cell | None:
        if self.without_cells:
            return None
        try:
            return make_cell(seed)
        except OSError as error:
            self.without_cells = str(error)
            return None

    @property
    def relayed(self) -> list[tuple[Agent, Relay]]:
        """The agents behind relays."""
        return [(agent, agent.relay) for agent in self.agents if agent.relay is not None]

    @property
    def celled(self) -> list[tuple[Agent, Cell]]:
        """The agents in network namespaces."""
        return [(agent, agent.cell) for agent in self.agents if agent.cell is not None]

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

    def complain(self, sentence: str) -> None:
        """Note a promise that was broken while a fault was played."""
        self.complaints.append(sentence)

    def ready(self) -> bool:
        """Whether the server answers and sees every agent online."""
        try:
            page = self.client.agents()
        except ClientError:
            return False
        online = {agent.name for agent in page.items if agent.state is AgentState.ONLINE}
        return online >= {f"agent-{number}" for number in range(self._count)}

    def revive(self) -> None:
        """Start whatever is not running."""
        for actor in (self.server, *self.agents):
            if not actor.running():
                self.revived += 1
                actor.start()

    def calm(self) -> None:
        """Take every harm back and wait until server and agents are together again."""
        for agent in self.agents:
            agent.line.heal()
        for actor in (self.server, *self.agents):
            actor.signal(signal.SIGCONT)
            actor.clock.jump(0.0)
        self.revive()
        wait_until(self.ready, "the stage after the faults", 120)

    def close(self) -> None:
        """End what was started, also jobs and shims, unmount, and remove the directory."""
        for actor in (*self.agents, self.server):
            actor.signal(signal.SIGCONT)
            with contextlib.suppress(AssertionError, OSError):
                actor.stop()
        for pid in carriers(str(self.root)):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for _, relay in self.relayed:
            relay.stop()
        if self._cell is not None:
            self._cell.close()
        for mount in self._mounts:
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def _build(self) -> None:
        self._disk("server", "2g")
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
        self._disk(name, "512m")
        last = len(self.agents) + 1 == self._count
        line = self._cell if last and self._cell else Relay(self.address, _REMEMBERED).start()
        agent = Agent(name, self.root, line)
        self.agents.append(agent)
        url = self.url if agent.relay is None else f"http://127.0.0.1:{agent.relay.port}"
        secret = self.root / f"{name}.token"
        secret.touch(0o600)
        created = self.client.create_registration_token(RegistrationTokenCreate(uses=1))
        secret.write_text(created.token)
        configuration = self.root / f"{name}.toml"
        configuration.write_text('[limits]\nmin_free_disk = "8MiB"\n[logs]\nsegment_size = "1MB"\n')
        call: list[object] = [sys.executable, "-m", "remote_agent", "register", "--server", url]
        call += ["--token-file", secret, "--name", name, "--capacity", 4]
        call += ["--state-dir", agent.disk / "state"]
        command = [str(word) for word in call]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_ENVIRONMENT)
        agent.start()

    def _disk(self, name: str, size: str) -> None:
        place = self.root / name
        place.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "chaos", place], check=True
        )
        self._mounts.append(place)


def pause(dice: random.Random, longest: float) -> None:
    """Wait for a random moment: faults must meet the system in every state."""
    time.sleep(dice.uniform(0.0, longest))
