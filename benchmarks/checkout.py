"""A server and an agent of one checkout, asked over plain HTTP: nothing of it is imported, so that
any version can stand beside any other. Real processes, and what /proc says of them.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.bed import descendants, quantile, wait_until
from tests.support.ports import free_port
from tests.support.postgresql import PostgresServer

CAPACITY: Final = 8
POSTGRESQL: Final = "PostgreSQL"
Job = dict[str, Any]
"""As `POST /jobs` takes it."""
_TRUE: Final = ["/usr/bin/true"]
_OVER: Final = frozenset({"succeeded", "failed", "cancelled"})
_LOOK: Final = 0.3
"""Seconds between two looks at a burst: each of them costs the server a request."""
_KEPT: Final = 20.0
"""Seconds for which a connection without requests is used again: later the server closes it."""


class Checkout:
    """A running pair of one checkout. Every measurement gives figures by their names. `settings`
    are variables of both programs; with `database` the server works on that, not on SQLite."""

    def __init__(
        self,
        tree: Path,
        root: Path,
        settings: Mapping[str, str] | None = None,
        database: PostgresServer | None = None,
    ) -> None:
        self._bin = tree / ".venv" / "bin"
        self._root = root
        self.settings = dict(settings or {})
        self._environ = {**os.environ, **self.settings}
        self._database = database
        if database is not None:
            self._environ["REMOTE_SERVER_DATABASE"] = database.create_database()
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.token = ""
        """An admin's."""
        self._processes: list[subprocess.Popen[bytes]] = []
        self._headers = {"Content-Type": "application/json"}
        self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        self._asked_at = 0.0

    def open(self) -> None:
        """Start both; returns when the agent is online."""
        data = self._root / "server"
        listen = f"127.0.0.1:{self._port}"
        self._start("remote-server", "run", "--listen", listen, "--data-dir", data)
        wait_until((data / "admin-token").exists, "the server", 120)
        self.token = (data / "admin-token").read_text().strip()
        self._headers["Authorization"] = f"Bearer {self.token}"
        wait_until(self._answers, "the server's API")
        state = self.register("bench")
        self._start("remote-agent", "run", "--state-dir", state)
        wait_until(lambda: self.ask("GET", "agents/bench")["state"] == "online", "the agent")

    def register(self, name: str, *more: str) -> Path:
        """Register an agent, which is not started by that; its directory."""
        state, secret = self._root / name, self._root / f"{name}.token"
        secret.touch(0o600)
        secret.write_text(self.ask("POST", "registration-tokens", {})["token"])
        call: list[object] = [self._bin / "remote-agent", "register", "--name", name]
        call += ["--server", self.url, "--token-file", secret]
        call += ["--capacity", CAPACITY, "--state-dir", state, *more]
        subprocess.run([str(word) for word in call], check=True, stdout=subprocess.DEVNULL)
        return state

    def close(self) -> None:
        """Stop both, the agent first."""
        self._connection.close()
        for process in reversed(self._processes):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)

    # What is measured ----------------------------------------------------------------------------

    def jobs(
        self, count: int, job: Job | None = None, settled: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """`count` jobs in one batch: how many a second, and the CPU of each, in milliseconds, up to
        the return of `settled`: what follows an end is a job's, too."""
        before, begun = self._spent(), time.time()
        jobs = [job or {"command": _TRUE}] * count
        ids = self.ask("POST", "jobs/batch", {"jobs": jobs})["ids"]
        # The last one ends last but for a few that ran beside it.
        last = [self.ended(job) for job in ids[-CAPACITY:]]
        seconds = max(_unix(job["ended_at"]) for job in last) - begun
        settled()
        time.sleep(_LOOK)  # until the agent has put the last ones away
        spent = {name: now - before[name] for name, now in self._spent().items()}
        cpu = {f"CPU a job, {name}, ms": value / count * 1000 for name, value in spent.items()}
        return {"jobs a second": count / seconds, **cpu}

    def latency(self, count: int) -> dict[str, float]:
        """Milliseconds from before the submit to the spawn, one job after another: one machine, one
        clock."""
        delays = []
        for _ in range(count):
            begun = time.time()
            job = self.ask("POST", "jobs", {"command": _TRUE})["id"]
            self.ended(job, 0.01)
            events = self.ask("GET", f"jobs/{job}/timeline")["items"]
            started = next(_unix(event["at"]) for event in events if event["what"] == "started")
            delays.append((started - begun) * 1000)
        return {"submit to process, median, ms": quantile(delays, 0.5)}

    def requests(self, count: int) -> dict[str, float]:
        """CPU of the server for each of `count` requests, in microseconds. The jobs are those that
        no agent takes."""
        known = self.ask("POST", "jobs", {"command": _TRUE, "labels": {"with": "nobody"}})["id"]
        server = self._processes[0].pid
        found = {}
        for what in ("POST /jobs", "GET /jobs/{id}"):
            before = _on_cpu(server)
            for _ in range(count):
                if what.startswith("POST"):
                    body = {"command": _TRUE, "labels": {"with": "nobody"}}
                    self.ask("POST", "jobs", body)
                else:
                    self.ask("GET", f"jobs/{known}")
            found[f"CPU of {what}, µs"] = (_on_cpu(server) - before) / count * 1e6
        return found

    def output(self, source: Path, kind: str) -> dict[str, float]:
        """One job that prints this file: megabytes a second, from its start to its end at the
        server."""
        begun, before = time.monotonic(), self._spent()
        job = self.ask("POST", "jobs", {"command": ["/bin/cat", str(source)]})["id"]
        self.ended(job, 0.02)
        size = source.stat().st_size / 1e6
        spent = self._spent()
        cpu = sum(spent[name] - before[name] for name in ("server", "agent"))
        return {
            f"{kind}, MB a second": size / (time.monotonic() - begun),
            f"{kind}, CPU of server and agent, ms a MB": cpu / size * 1000,
        }

    # How -----------------------------------------------------------------------------------------

    def _start(self, program: str, *arguments: object) -> None:
        with open(self._root / f"{program}.log", "ab") as output:
            self._processes.append(
                subprocess.Popen(
                    [self._bin / program, *map(str, arguments)],
                    env=self._environ,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
            )

    def _answers(self) -> bool:
        try:
            self.ask("GET", "version")
        except OSError:
            self._connection.close()
            return False
        return True

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """An answer of the API, decoded. RuntimeError for a refusal."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        if time.monotonic() - self._asked_at > _KEPT:
            self._connection.close()
        self._asked_at = time.monotonic()
        self._connection.request(method, f"/api/v1/{path}", data, self._headers)
        response = self._connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {text.decode()[:500]}")
        return json.loads(text) if text else None

    def ended(self, job: str, look: float = _LOOK) -> Any:
        """A job that has ended. RuntimeError when it did not succeed."""
        deadline = time.monotonic() + 300
        while (view := self.ask("GET", f"jobs/{job}"))["state"] not in _OVER:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the job {job} did not end")
            time.sleep(look)
        if view["state"] != "succeeded":
            raise RuntimeError(f"the job {job} did not succeed: {view}")
        return view

    def _spent(self) -> dict[str, float]:
        server, agent = (process.pid for process in self._processes)
        spent = {
            "server": _on_cpu(server),
            "agent": _on_cpu(agent),
            "shims and jobs": sum(_family(pid) for pid in descendants(agent)),
        }
        if self._database is not None:
            first = self._database.pid
            spent[POSTGRESQL] = sum(_family(pid) for pid in (first, *descendants(first)))
        return spent


@contextlib.contextmanager
def running(
    tree: Path, settings: Mapping[str, str] | None = None, postgresql: bool = False
) -> Iterator[Checkout]:
    """A pair of this checkout in an empty folder, with a PostgreSQL of its own where that is
    wanted, which syncs its commits; stopped and removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="remote-bench-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, root, ignore_errors=True)
        database = None
        if postgresql:
            database = stack.enter_context(PostgresServer.started(synced=True))
        checkout = Checkout(tree, root, settings, database)
        stack.callback(checkout.close)
        checkout.open()
        yield checkout


def _on_cpu(pid: int) -> float:
    """CPU seconds of all threads of a living process, to the nanosecond (Linux's schedstat)."""
    spent = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            spent += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return spent / 1e9


def _family(pid: int) -> float:
    """CPU seconds of a process, and of those below it that it has reaped: those in hundredths of a
    second, proc(5)."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        reaped = sum(int(field) for field in fields[13:15]) / os.sysconf("SC_CLK_TCK")
        return _on_cpu(pid) + reaped
    return 0.0


def _unix(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
