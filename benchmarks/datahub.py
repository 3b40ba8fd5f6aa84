"""DataHub's ingestion beside acryl-executor: the same recipes, by the same DataHub, in turn.

Usage: python -m benchmarks.datahub --datahub VENV [--rounds 3] [--stubborn]

VENV is an environment with acryl-executor and acryl-datahub, which both sides use as it is
(`native` there, a prepared environment here): nothing is installed. acryl-executor runs as a
program of its own (`benchmarks/peers/datahub_executor.py`), ours as a server and an agent. Wall
time is from the request to the moment when whoever asked knows the end; CPU that of all processes
of a side, DataHub's own included. `--stubborn` adds the cancel of a job that ignores the polite
signal: a minute for each side.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.bed import Bed, bed, quantile, table, tree_seconds, wait_until
from remote_client.client import Client
from remote_datahub.spec import DatahubSpec

PEERS: Final = Path(__file__).with_name("peers")
SOURCE: Final = "awkward_source.AwkwardSource"
AT_A_TIME: Final = 4
TICKS: Final = {"do": "ticks", "count": 25, "pause": 0.2}
_TICK: Final = re.compile(rb"TICK (\d+) (\d+\.\d{6})")


@dataclass
class Came:
    """What came of an execution."""

    state: str
    took: float
    """Seconds from the request to the end."""
    lags: Sequence[float] = ()
    """Seconds from each line's writing to its reader."""
    first: float = 0.0
    """Seconds from the request to the first line of the source."""
    ticks: int = 0
    after: bool = False
    """Whether the line after the odd byte is there."""


class Side(Protocol):
    """Something that executes recipes."""

    name: str

    def execute(self, number: str, recipe: dict[str, Any]) -> Came:
        """Execute a recipe; returns when it is over."""

    def kill(self, number: str) -> None:
        """Have it end."""

    def cpu(self) -> float:
        """CPU seconds of all its processes until now."""


class Theirs:
    """acryl-executor."""

    name = "acryl-executor"

    def __init__(self, venv: Path, folder: Path) -> None:
        environ = {**os.environ, "PATH": f"{venv / 'bin'}:{os.environ['PATH']}", **quiet()}
        # The packages of this environment are none of theirs.
        environ.pop("PYTHONPATH", None)
        call = [venv / "bin/python", PEERS / "datahub_executor.py", folder]
        self.process = subprocess.Popen(
            [str(word) for word in call],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            text=True,
        )
        self.answers: dict[str, dict[str, Any]] = {}
        self._changed = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self._answer("ready")

    def execute(self, number: str, recipe: dict[str, Any]) -> Came:
        """On a thread of its own, as its dispatcher has it."""
        begun = time.time()
        self._say({"id": number, "recipe": recipe, "env": {"PYTHONPATH": str(PEERS)}})
        found = self._answer(number)
        first = found["first_tick"] - begun if found["first_tick"] else 0.0
        return Came(
            found["state"],
            found["at"] - begun,
            found["lags"],
            first,
            found["ticks"],
            found["after"],
        )

    def kill(self, number: str) -> None:
        """By its signal."""
        self._say({"kill": number})

    def cpu(self) -> float:
        """Of the executor and everything below it."""
        return tree_seconds(self.process.pid)

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.terminate()
        self.process.wait(10)

    def _say(self, line: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            answer = json.loads(line)
            with self._changed:
                self.answers[answer.get("id", "ready")] = answer
                self._changed.notify_all()

    def _answer(self, number: str) -> dict[str, Any]:
        with self._changed:
            if not self._changed.wait_for(lambda: number in self.answers, 180):
                raise TimeoutError(f"acryl-executor said nothing of {number} for three minutes")
            return self.answers[number]


@dataclass
class Ours:
    """A server and an agent, asked over HTTP."""

    place: Bed
    name: str = "remote-agent"
    jobs: dict[str, str] = field(default_factory=dict)

    def execute(self, number: str, recipe: dict[str, Any]) -> Came:
        """Submit, and follow the log to its end."""
        lags: list[float] = []
        first, ticks, after = 0.0, 0, False
        with Client(self.place.url, self.place.token) as client:
            begun = time.time()
            job = client.submit(
                DatahubSpec(
                    recipe=json.dumps(recipe),
                    environment="bench",
                    env={"PYTHONPATH": str(PEERS), **quiet()},
                    merge_output=True,
                )
            )
            self.jobs[number] = job.id
            for record in client.follow_log(job.id):
                now = time.time()
                for _, at in _TICK.findall(record.data):
                    first = first or now - begun
                    lags.append(now - float(at))
                    ticks += 1
                after = after or b"AFTER" in record.data
            state = client.wait(job.id).state.value
            return Came(state, time.time() - begun, lags, first, ticks, after)

    def kill(self, number: str) -> None:
        """By the call that cancels."""
        wait_until(lambda: number in self.jobs, "the job")
        self.place.client.cancel(self.jobs[number])

    def cpu(self) -> float:
        """Of server, agent, shims and jobs."""
        return tree_seconds(self.place.server.pid) + tree_seconds(self.place.agent_pid)


def quiet() -> dict[str, str]:
    """DataHub reports to nobody that it was used."""
    return {"DATAHUB_TELEMETRY_ENABLED": "false"}


def awkward(**config: Any) -> dict[str, Any]:
    """A recipe of the source that misbehaves."""
    return {
        "source": {"type": SOURCE, "config": config},
        "sink": {"type": "console", "config": {}},
    }


def marked(mark: str) -> list[int]:
    """The living processes that have this word in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


@dataclass
class Figures:
    """What was measured of one side."""

    file_wall: list[float] = field(default_factory=list)
    file_cpu: list[float] = field(default_factory=list)
    four_wall: list[float] = field(default_factory=list)
    four_cpu: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    lags: list[float] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    byte: list[str] = field(default_factory=list)
    stubborn: list[str] = field(default_factory=list)


def one_round(side: Side, figures: Figures, files: list[dict[str, Any]], number: str) -> None:
    """Each measurement once."""
    before = side.cpu()
    came = side.execute(f"{number}-file", files[0])
    require(came.state in ("SUCCESS", "succeeded"), side, came)
    figures.file_wall.append(came.took)
    figures.file_cpu.append(side.cpu() - before)

    came = side.execute(f"{number}-ticks", awkward(**TICKS))
    figures.first.append(came.first)
    figures.lags += came.lags
    figures.lines.append(f"{came.ticks}/{TICKS['count']}")

    came = side.execute(f"{number}-byte", awkward(do="byte"))
    figures.byte.append(f"{came.state}, the rest {'there' if came.after else 'LOST'}")

    figures.kills.append(killed(side, f"{number}-wait", "wait")[0])

    before, begun = side.cpu(), time.monotonic()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        jobs = [pool.submit(side.execute, f"{number}-{n}", files[n]) for n in range(AT_A_TIME)]
        for job in jobs:
            require(job.result().state in ("SUCCESS", "succeeded"), side, job.result())
    figures.four_wall.append(time.monotonic() - begun)
    figures.four_cpu.append(side.cpu() - before)


def killed(side: Side, number: str, how: str) -> tuple[float, str]:
    """Seconds from the signal until every process of the job is gone, up to 100; and its state."""
    mark = f"mark-{number}-{time.time_ns()}"
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(side.execute, number, awkward(do=how, mark=mark))
        wait_until(lambda: bool(marked(mark)), "the job's child", 60)
        # The recipe is in no command line; the child's is there before it ignores signals.
        time.sleep(0.5)
        begun = time.monotonic()
        side.kill(number)
        while marked(mark) and time.monotonic() - begun < 100:
            time.sleep(0.005)
        took, left = time.monotonic() - begun, marked(mark)
        state = job.result().state
        for pid in left:
            os.kill(pid, 9)
    return took, f"{state}, {took:.1f} s" + (f", {len(left)} LEFT" if left else "")


def require(condition: bool, side: Side, came: Came) -> None:
    """Stop where a side does not do what is measured."""
    if not condition:
        raise SystemExit(f"{side.name}: {came}")


def recipes(folder: Path) -> list[dict[str, Any]]:
    """File to file, each with a result of its own."""
    records = [
        {
            "entityType": "dataset",
            "entityUrn": f"urn:li:dataset:(urn:li:dataPlatform:sqlite,t{number},PROD)",
            "changeType": "UPSERT",
            "aspectName": "status",
            "aspect": {"json": {"removed": False}},
        }
        for number in range(10)
    ]
    source = folder / "records.json"
    source.write_text(json.dumps(records))
    return [
        {
            "source": {"type": "file", "config": {"path": str(source)}},
            "sink": {"type": "file", "config": {"filename": str(folder / f"out-{number}.json")}},
        }
        for number in range(AT_A_TIME)
    ]


@contextlib.contextmanager
def sides(venv: Path) -> Iterator[tuple[Theirs, Ours, Path]]:
    """Both, ready."""
    os.environ["REMOTE_AGENT_PYTHON_ENVIRONMENTS"] = f"bench={venv}"
    with tempfile.TemporaryDirectory(prefix="remote-bench-") as name, bed(AT_A_TIME) as place:
        theirs = Theirs(venv, Path(name))
        try:
            yield theirs, Ours(place), Path(name)
        finally:
            theirs.close()


def middle(values: Sequence[float], unit: str = "s") -> str:
    """Median and range."""
    return f"{statistics.median(values):.2f} {unit} ({min(values):.2f}–{max(values):.2f})"


def rows(theirs: Figures, ours: Figures) -> list[tuple[str, str, str]]:
    """The table: what, theirs, ours with the ratio."""

    def beside(what: str, get: Any) -> tuple[str, str, str]:
        a, b = get(theirs), get(ours)
        ratio = statistics.median(b) / statistics.median(a)
        return what, middle(a), f"{middle(b)}; {ratio:.2f}"

    lags = [
        f"{1000 * statistics.median(f.lags):.0f} / {1000 * quantile(f.lags, 0.95):.0f} ms"
        for f in (theirs, ours)
    ]
    return [
        beside("file → file, wall", lambda f: f.file_wall),
        beside("the same, CPU of everything", lambda f: f.file_cpu),
        beside("request → the source's first line at its reader", lambda f: f.first),
        ("lag of a line, median / p95", lags[0], lags[1]),
        ("lines that came", ", ".join(theirs.lines), ", ".join(ours.lines)),
        beside(f"{AT_A_TIME} at a time, wall", lambda f: f.four_wall),
        beside("the same, CPU", lambda f: f.four_cpu),
        beside("cancel → all processes gone", lambda f: f.kills),
        ("one byte that is no UTF-8", some(theirs.byte), some(ours.byte)),
        ("cancel of a job that ignores SIGTERM", some(theirs.stubborn), some(ours.stubborn)),
    ]


def some(values: Sequence[str]) -> str:
    """Different outcomes, each once."""
    return "; ".join(dict.fromkeys(values)) or "not measured"


def main() -> None:
    """Measure both, in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datahub", type=Path, required=True, help="environment with DataHub")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stubborn", action="store_true")
    given = parser.parse_args()
    with sides(given.datahub.absolute()) as (theirs, ours, folder):
        files = recipes(folder)
        both: list[tuple[Side, Figures]] = [(theirs, Figures()), (ours, Figures())]
        for side, _ in both:
            # Once for what is compiled and cached.
            side.execute("warm", files[0])
        for number in range(given.rounds):
            for side, figures in both if number % 2 else reversed(both):
                one_round(side, figures, files, f"r{number}")
        if given.stubborn:
            for side, figures in both:
                figures.stubborn.append(killed(side, "stubborn", "stubborn")[1])
    load = os.getloadavg()
    title = f"DataHub's ingestion, {given.rounds} rounds in turn, load {load[0]:.1f}"
    table(f"{title} (acryl-executor; remote-agent; ours ÷ theirs)", rows(both[0][1], both[1][1]))


if __name__ == "__main__":
    main()
