"""From the start of `remote-agent run` to its line `online`, as a multiple of `python -c pass`.

Interleaved rounds: the interpreter alone, the interpreter with the libraries that every agent
loads, the agent of this checkout, and with --against the agent of another one. Beside the time the
CPU of the process, which other work on the machine changes least (Linux only).

Usage: python -m benchmarks.start [--rounds 15] [--against CHECKOUT] [--python PROGRAM]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.bed import bed, start_agent, summary, table

_ROOT = Path(__file__).resolve().parent.parent
_LIBRARIES = (
    "import asyncio, pydantic, structlog, websockets.asyncio.client\n"
    "class One(pydantic.BaseModel):\n    number: int = 0\nOne()"
)
_DEADLINE = 60.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--against", type=Path, help="another checkout, in the same run")
    parser.add_argument("--python", default=sys.executable, help="whose libraries the agents use")
    options = parser.parse_args()
    python: str = options.python
    with bed(with_agent=False) as place:
        start_agent(place.root, place.client, place.url, 1).terminate()
        state_dir = place.root / "bench"
        ways: dict[str, Callable[[], _Taken]] = {
            "`python -c pass`": lambda: _until_end(python, "pass"),
            "its libraries alone": lambda: _until_end(python, _LIBRARIES),
            "`remote-agent run` to online": lambda: _until_online(python, _ROOT, state_dir),
        }
        if options.against is not None:
            other = options.against.resolve()
            ways["the other checkout's"] = lambda: _until_online(python, other, state_dir)
        for way in ways.values():
            way()  # once, so that all have their bytecode
        rounds = [{name: way() for name, way in ways.items()} for _ in range(options.rounds)]
    rows = []
    bare = [taken["`python -c pass`"] for taken in rounds]
    for name in ways:
        row = [taken[name] for taken in rounds]
        for what, of in (("time", _seconds), ("CPU", _cpu)):
            values, floor = [of(taken) for taken in row], [of(taken) for taken in bare]
            median = statistics.median(values) / statistics.median(floor)
            best = min(values) / min(floor)
            aim = "≤ 5 times" if what == "time" and "run" in name else ""
            figure = f"{summary(values)}; {median:.1f} ({best:.1f}) times"
            rows.append((f"{name}: {what} in s, as a multiple (at best)", figure, aim))
    table("Start of an agent", rows)


class _Taken(NamedTuple):
    seconds: float
    cpu: float
    """Seconds of CPU."""


def _seconds(taken: _Taken) -> float:
    return taken.seconds


def _cpu(taken: _Taken) -> float:
    return taken.cpu


def _environment(root: Path) -> dict[str, str]:
    # As installed: with bytecode. What is measured comes before an installation of the same name.
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": f"{root / 'agent'}:{root / 'protocol'}"}


def _until_end(python: str, program: str) -> _Taken:
    begun = time.monotonic()
    pid = os.posix_spawn(python, [python, "-c", program], _environment(_ROOT))
    _, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{python} -c ended with {os.waitstatus_to_exitcode(status)}")
    return _Taken(time.monotonic() - begun, used.ru_utime + used.ru_stime)


def _until_online(python: str, root: Path, state_dir: Path) -> _Taken:
    """Start the agent, wait for its line, stop it. RuntimeError when it ends without."""
    call = [python, "-m", "remote_agent", "run", "--state-dir", str(state_dir)]
    begun = time.monotonic()
    with subprocess.Popen(
        call,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**_environment(root), "REMOTE_AGENT_LOG_FORMAT": "json"},
    ) as agent:
        assert agent.stderr is not None
        try:
            for line in agent.stderr:
                if b'"event": "online"' in line:
                    taken = time.monotonic() - begun
                    on_cpu = Path(f"/proc/{agent.pid}/schedstat").read_text().split()[0]
                    return _Taken(taken, int(on_cpu) / 1e9)
                if time.monotonic() - begun > _DEADLINE:
                    break
            raise RuntimeError("the agent did not come online")
        finally:
            agent.terminate()
            agent.stderr.read()


if __name__ == "__main__":
    main()
