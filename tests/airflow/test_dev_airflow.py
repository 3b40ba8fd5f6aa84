"""`make dev-airflow`, as a developer has it: started, used, changed, ended."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.stack import until

ROOT = Path(__file__).resolve().parents[2]
DAGS = ("remote_first_steps", "remote_live_log", "remote_waiting")


class Session:
    """One call of the command, on ports that are free, and who it is for Airflow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.airflow, self.server = free_port(), free_port()
        (folder / "tmp").mkdir()
        self.process = self.call()

    def call(self, out: Path | None = None) -> subprocess.Popen[bytes]:
        options = f"--airflow-port {self.airflow} --server-port {self.server}"
        with (out or self.out).open("wb") as output:
            return subprocess.Popen(
                ["make", "--no-print-directory", "dev-airflow", f"ARGS={options}"],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "TMPDIR": str(self.folder / "tmp")},
                start_new_session=True,
            )

    def words(self) -> str:
        return self.out.read_text()

    def says(self, pattern: str, deadline: float = 120) -> str:
        def look() -> str | None:
            assert self.process.poll() is None, self.words()
            found = re.search(pattern, self.words())
            return found and found[1]

        return str(until(look, f"it says {pattern}", deadline))

    def ctrl_c(self) -> int:
        # As a terminal does: to all that are in its foreground.
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(60)

    def left(self) -> list[str]:
        """Processes that have to do with it."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(self.folder).encode() in text and entry.name != str(os.getpid()):
                found.append((entry / "cmdline").read_text().replace("\0", " "))
        return found


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    found = Session(tmp_path)
    yield found
    if found.process.poll() is None:
        os.killpg(found.process.pid, signal.SIGINT)
        found.process.wait(60)


def log_in(session: Session, password: str) -> httpx.Client:
    url = f"http://127.0.0.1:{session.airflow}"
    answer = httpx.post(f"{url}/auth/token", json={"username": "admin", "password": password})
    assert answer.status_code == 201, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    return httpx.Client(base_url=f"{url}/api/v2", headers=headers, timeout=30)


def trigger(http: httpx.Client, dag: str) -> str:
    answer = http.post(f"/dags/{dag}/dagRuns", json={"logical_date": None})
    assert answer.status_code == 200, answer.text
    return f"/dags/{dag}/dagRuns/{answer.json()['dag_run_id']}"


def states(http: httpx.Client, run: str) -> dict[str, Any]:
    found = http.get(f"{run}/taskInstances").json()["task_instances"]
    return {f"{ti['task_id']}[{ti['map_index']}]": ti["state"] for ti in found}


def test_one_command_gives_an_airflow_and_ctrl_c_ends_it(session: Session) -> None:
    password = session.says(r"user admin, password (\S+)")
    command = session.says(r"commands +(\S+) remote check")
    checked = subprocess.run(
        [command, "remote", "check"], capture_output=True, text=True, check=False, timeout=60
    )
    assert "token airflow (operator)\n1 agent is online" in checked.stdout, checked
    with log_in(session, password) as http:
        until(
            lambda: {one["dag_id"] for one in http.get("/dags").json()["dags"]} >= set(DAGS),
            "the DAGs are known",
            60,
        )
        run = trigger(http, "remote_first_steps")
        until(lambda: http.get(run).json()["state"] == "success", "the example succeeds", 120)

        # A second one says what is in its way, at once, and the first goes on.
        other = session.folder / "other"
        assert session.call(other).wait(60) == 2
        assert f"port {session.airflow} of 127.0.0.1 cannot be used" in other.read_text()
        assert f'make dev-airflow ARGS="--airflow-port {session.airflow + 1}"' in other.read_text()

        # A change of the provider is seen; what runs on an agent meanwhile runs on.
        live = trigger(http, "remote_live_log")
        task = "a_minute_of_lines[-1]"
        until(lambda: states(http, live)[task] == "running", "it runs", 60)
        os.utime(ROOT / "airflow_provider" / "remote_airflow" / "info.py")
        session.says(r"(info\.py) changed: Airflow's programs start again")

        session.says(r"start again\n(?:.*\n)*.*(triggerer): [\d.]+ s\n")
        assert states(http, live)[task] == "running", "the task has outlived it"

    # make ends as its signal asks, when what it has started has ended.
    assert session.ctrl_c() == -signal.SIGINT, session.words()
    assert "dev-airflow: everything has ended and was removed" in session.words()
    until(lambda: not session.left(), "every process has ended")
    assert list((session.folder / "tmp").iterdir()) == []
    for port in (session.airflow, session.server):
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert "Traceback" not in session.words(), session.words()
