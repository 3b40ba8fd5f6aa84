"""The two sides: an edge worker, and an agent with its server, for one deployment of Airflow."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, Protocol

from benchmarks.bed import descendants, memory, tree_seconds
from tests.airflow.deployment import EXECUTOR, Airflow
from tests.support.postgresql import PostgresServer
from tests.support.stack import Program, Stack, until

VENV: Final = Path(__file__).resolve().parents[2] / "build" / "edge3" / "venv"
DAGS: Final = Path(__file__).with_name("dags")
SLOTS: Final = 8
_EDGE: Final = "Edge:airflow.providers.edge3.executors.EdgeExecutor"
_TESTS_ONLY: Final = (
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC",
)
"""What tests have sooner than Airflow's defaults."""


class Side(Protocol):
    """What runs tasks."""

    name: str
    """Its DAGs begin with it."""
    worker: Program

    def central_cpu(self) -> float:
        """CPU seconds of what only this side needs beside Airflow itself."""

    def comes_back(self, limit: float) -> float:
        """Start the worker again under its name; seconds until it is let in, or the limit."""


class Edge:
    """A worker of the edge3 provider."""

    name = "edge"

    def __init__(self, airflow: Airflow, folder: Path) -> None:
        env = {
            **airflow.env,
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW_TESTS": str(airflow.said_folder),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/none.sqlite",
        }
        del env["AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS"]
        words = ("edge", "worker", "--concurrency", SLOTS, "--edge-hostname", "compared")
        self._registered = folder / "airflow-edge-worker.pid"
        folder.mkdir(parents=True)
        command = [airflow.venv / "bin" / "airflow", *words]
        self.worker = Program("edge worker", command, env, folder / "worker.out")

    def central_cpu(self) -> float:
        """Its end points are the api-server's."""
        return 0.0

    def start(self) -> bool:
        """Start it, and wait until it has registered; whether it has."""
        # A file that a killed one has left keeps nobody out, and says nothing of this one.
        self._registered.unlink(missing_ok=True)
        self.worker.start()
        until(lambda: self._registered.exists() or not self.worker.running, "it registers", 90)
        return self.worker.running

    def comes_back(self, limit: float) -> float:
        """While its name counts as active it is refused, and ends; tried every 15 s."""
        begun = time.monotonic()
        while (tried := time.monotonic()) - begun < limit:
            if self.start():
                return time.monotonic() - begun
            time.sleep(max(0.0, 15 - (time.monotonic() - tried)))
        return limit


class Remote:
    """Our agent and server."""

    name = "remote"

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        environments = f'[python]\nenvironments = {{airflow = "{VENV}"}}\nwarm_memory = "1GiB"\n'
        self.worker: Program = stack.agent("compared", config=environments, capacity=SLOTS)

    def central_cpu(self) -> float:
        """Of the server."""
        return tree_seconds(self.stack.server.pid)

    def process_of(self, run: str) -> float:
        """When the process of a run's job was started, as Unix seconds."""
        name = run.rpartition("/")[2]
        (job,) = self.stack.client.jobs(limit=2, annotation=f"airflow.run={name}").items
        assert job.started_at is not None
        return job.started_at.timestamp()

    def comes_back(self, limit: float) -> float:
        """It is let in when the server shows it online."""
        begun = time.monotonic()
        self.worker.start()
        self.stack.online("compared")
        return min(limit, time.monotonic() - begun)


def tree_memory(pid: int) -> float:
    """MiB of a process and everything below it; what they share is counted once."""
    found = 0.0
    for one in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            found += memory(one)
    return found


def end_all(pids: Iterable[int]) -> None:
    """SIGKILL."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


class Place:
    """Both sides at one deployment."""

    def __init__(self, root: Path, stack: Stack, postgres: PostgresServer) -> None:
        self.stack = stack
        self.postgres = postgres
        self.airflow = airflow = Airflow(
            root / "airflow", stack, postgres, venv=VENV, dags=DAGS, teams=None, **self._env()
        )
        airflow.env["AIRFLOW__EDGE__API_URL"] = f"{airflow.url}/edge_worker/v1/rpcapi"
        for name in _TESTS_ONLY:
            del airflow.env[name]
        self.edge = Edge(airflow, root / "edge")
        self.remote = Remote(stack)
        self.dispatched: list[float] = []
        """Seconds from `queued` until the process of our job was started."""
        self.sides: tuple[Side, Side] = (self.edge, self.remote)

    @staticmethod
    def _env() -> dict[str, str]:
        return {
            "AIRFLOW__CORE__EXECUTOR": f"{_EDGE},{EXECUTOR}",
            "AIRFLOW__CORE__PARALLELISM": "64",
            "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "100",
            "AIRFLOW__DATABASE__EXTERNAL_DB_MANAGERS": (
                "airflow.providers.edge3.models.db.EdgeDBManager"
            ),
            "AIRFLOW__EDGE__API_ENABLED": "True",
        }

    def central_cpu(self) -> float:
        """CPU seconds of Airflow's own programs and its database."""
        pids = [part.pid for part in self.airflow.parts.values()]
        return sum(map(tree_seconds, pids)) + tree_seconds(self.postgres.pid)

    def started(self, run: str) -> int:
        """How often the task of a run has begun."""
        return self.airflow.said().count(run.rpartition("/")[2])


@contextlib.contextmanager
def place(root: Path) -> Iterator[Place]:
    """Everything started, and what is compiled and cached at the first task is."""
    with PostgresServer.started(synced=True) as postgres, Stack(root) as stack:
        stack.start_server()
        made = Place(root, stack, postgres)
        try:
            made.airflow.start()
            until(lambda: {"edge_one", "remote_one"} <= made.airflow.dags(), "the DAGs", 120)
            assert made.edge.start(), made.edge.worker.words()[-4000:]
            for side in made.sides:
                made.airflow.ends(made.airflow.trigger(f"{side.name}_one"))
            yield made
        finally:
            made.airflow.close()
            if made.edge.worker.running:
                end_all((made.edge.worker.pid, *descendants(made.edge.worker.pid)))
