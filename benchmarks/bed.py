"""A real server and a real agent on this machine for a measurement, and what /proc says of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from remote_client.client import Client
from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.states import AgentState
from tests.support.ports import free_port

_ROOT = Path(__file__).resolve().parent.parent
_BIN = Path(sys.executable).parent
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Bed:
    """A running pair. `client` is an admin's; pids are those of the main processes."""

    url: str
    token: str
    root: Path
    server: subprocess.Popen[bytes]
    agent: subprocess.Popen[bytes] | None
    client: Client

    @property
    def agent_pid(self) -> int:
        """The agent's process id."""
        assert self.agent is not None
        return self.agent.pid


@contextlib.contextmanager
def bed(capacity: int = 8, *, with_agent: bool = True, stamped: bool = False) -> Iterator[Bed]:
    """Start server and agent in an empty directory; stop and remove everything at the end.
    `stamped`: they leave `server.stamps` and `agent.stamps` there (`benchmarks.stamped`)."""
    root = Path(tempfile.mkdtemp(prefix="remote-bench-"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = agent = None
    place: Bed | None = None
    try:
        server = start_server(root, url, stamped)
        token_file = root / "server" / "admin-token"
        wait_until(lambda: token_file.exists() and _answers(port), "the server", 120)
        token = token_file.read_text().strip()
        client = Client(url, token)
        wait_until(lambda: client.version().product == "remote-server", "the server's API")
        if with_agent:
            agent = start_agent(root, client, url, capacity, stamped=stamped)
        place = Bed(url, token, root, server, agent, client)
        yield place
        client.close()
    finally:
        # A measurement may have replaced them by new ones.
        for process in (place.agent, place.server) if place is not None else (agent, server):
            if process is not None and process.poll() is None:
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(15)
        shutil.rmtree(root, ignore_errors=True)


def start_server(root: Path, url: str, stamped: bool = False) -> subprocess.Popen[bytes]:
    """Start the server of a bed, also once more after its death."""
    call = ["run", "--listen", url.removeprefix("http://"), "--data-dir", root / "server"]
    return _start(root, "server", _program(root, "server", stamped), call)


def start_agent(
    root: Path,
    client: Client,
    url: str,
    capacity: int,
    name: str = "bench",
    stamped: bool = False,
) -> subprocess.Popen[bytes]:
    """Register and start an agent; returns when the server shows it online."""
    created = client.create_registration_token(RegistrationTokenCreate())
    state = root / name
    secret = root / f"{name}.token"
    secret.touch(0o600)
    secret.write_text(created.token)
    call: list[object] = [_BIN / "remote-agent", "register", "--server", url, "--name", name]
    call += ["--token-file", secret, "--capacity", capacity, "--state-dir", state]
    subprocess.run([str(word) for word in call], check=True, stdout=subprocess.DEVNULL)
    program = _program(root, "agent", stamped)
    agent = _start(root, name, program, ["run", "--state-dir", state])
    wait_until(lambda: client.agent(name).state is AgentState.ONLINE, "the agent")
    return agent


def _program(root: Path, who: str, stamped: bool) -> list[object]:
    if stamped:
        stamps = root / f"{who}.stamps"
        return [sys.executable, "-m", "benchmarks.stamped", stamps, f"remote-{who}"]
    return [_BIN / f"remote-{who}"]


def _start(
    root: Path, log: str, program: Sequence[object], arguments: Sequence[object]
) -> subprocess.Popen[bytes]:
    with open(root / f"{log}.log", "ab") as output:
        return subprocess.Popen(
            [str(word) for word in (*program, *arguments)],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: object, what: str, seconds: float = 30.0) -> None:
    """Wait for a condition; TimeoutError names `what` when it does not come true."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} was not ready after {seconds:g} s")
        time.sleep(0.01)


def cpu_seconds(pid: int) -> float:
    """CPU time of a living process, user and system."""
    return sum(_times(pid)[:2])


def family_seconds(pid: int) -> float:
    """CPU time of everything below a living process: what lives, and what it has reaped."""
    spent = 0.0
    for descendant in descendants(pid):
        with contextlib.suppress(OSError):
            spent += sum(_times(descendant))
    return spent


def tree_seconds(pid: int) -> float:
    """CPU time of a process and everything below it, with what they have reaped."""
    spent = 0.0
    for one in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            spent += sum(_times(one))
    return spent


def _times(pid: int) -> list[float]:
    """User, system, and the same two of reaped children, in seconds (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) / _TICK for field in fields[11:15]]


def memory(pid: int, field: str = "Pss") -> float:
    """Memory in MiB: `Pss` now, or `VmHWM` for the peak resident set."""
    name = "status" if field.startswith("Vm") else "smaps_rollup"
    for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return 0.0


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, by parent links."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
    found = [pid]
    for candidate in found:
        found += [child for child, parent in parents.items() if parent == candidate]
    return found[1:]


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of the sorted values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def summary(values: Sequence[float]) -> str:
    """Median (minimum to maximum) for a table."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def table(title: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Print a measurement: what, figure, aim."""
    print(f"\n## {title}\n\n| what | measured | aim |\n|---|---|---|")
    for what, figure, aim in rows:
        print(f"| {what} | {figure} | {aim} |")
    sys.stdout.flush()
