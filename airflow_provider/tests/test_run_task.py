"""The program of a job, with Airflow's own supervisor."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import time
import types
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from airflow.sdk.api.client import Client, raise_on_4xx_5xx
from airflow.sdk.execution_time import supervisor

import remote_airflow


@pytest.fixture
def source() -> str:
    """Its functions, without its run."""
    text = Path(remote_airflow.__file__).with_name("run_task.py").read_text()
    assert text.endswith("\nmain()\n")
    return text.removesuffix("\nmain()\n")


@pytest.fixture
def program(source: str) -> Any:
    """They, as a module."""
    found = types.ModuleType("run_task")
    exec(source, found.__dict__)
    return found


@pytest.fixture
def patched(program: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The program; what it replaces in the supervisor is put back."""
    for owner, name in (
        (supervisor.ActivitySubprocess, "_monitor_subprocess"),
        (supervisor.WatchedSubprocess, "_service_subprocess"),
        (supervisor, "_configure_logging"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))
    return program


@pytest.fixture
def supervised() -> Iterator[supervisor.ActivitySubprocess]:
    """A process that ends with 7 after a moment."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if not pid:
        time.sleep(0.3)
        os._exit(7)
    with ours, theirs:
        yield supervisor.ActivitySubprocess(
            id=uuid.uuid4(),
            pid=pid,
            stdin=ours,
            process=supervisor.PsutilTracker(psutil.Process(pid)),
            process_log=supervisor.log,
            client=None,
        )


def test_the_supervisor_wakes_at_the_end_of_its_task(
    patched: Any, supervised: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It would look again in a minute.
    monkeypatch.setattr(supervisor, "MIN_HEARTBEAT_INTERVAL", 60)
    patched.wakes_at_the_end()
    begun = supervised._last_successful_heartbeat = time.monotonic()
    supervised._monitor_subprocess()
    assert supervised._exit_code == 7
    assert time.monotonic() - begun < 30


def test_lines_that_were_read_together_are_written_together(
    patched: Any, supervised: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    patched.writes_together()
    logger, file = supervisor._configure_logging("dag/attempt=1.log", None)
    with file:
        logger.info("one")
        logger.info("two")
        log = tmp_path / "dag" / "attempt=1.log"
        assert log.read_text() == ""
        supervised._service_subprocess(0.01)
        assert log.read_text().count("\n") == 2
        logger.info("three")
    assert log.read_text().count("\n") == 3


@pytest.mark.parametrize(
    ("url", "proxy", "trusted"),
    [
        ("http://127.0.0.1:1/execution/", "", False),
        ("https://airflow.example.com/execution/", "", True),
        ("http://airflow.example.com/execution/", "https://proxy.example.com", True),
        ("http://airflow.example.com/execution/", "http://proxy.example.com", False),
    ],
)
def test_certificates_are_read_where_they_are_needed(
    program: Any, monkeypatch: pytest.MonkeyPatch, url: str, proxy: str, trusted: bool
) -> None:
    context = vars(Client)["_get_ssl_context_cached"]
    monkeypatch.setattr(Client, "_get_ssl_context_cached", context)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", url)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    program.reads_no_certificates()
    found = Client._get_ssl_context_cached(None, None)
    assert bool(found.get_ca_certs()) is trusted
    assert found.verify_mode is ssl.CERT_REQUIRED
    Client(base_url=url, token="t").close()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refuses this task's token (401: {'reason': 'why'}). Scheduler and api-server need"),
        (403, "the same [api_auth] jwt_secret, and clocks that agree; or the task has waited"),
        (404, "or is not Airflow's Execution API (404: "),
        (405, "Its address ends with /execution/: see [remote] execution_api_url"),
        (422, "have the minor version of the scheduler in the environment of tasks"),
    ],
)
def test_what_the_execution_api_has_against_a_task_is_said(
    program: Any, monkeypatch: pytest.MonkeyPatch, status: int, words: str
) -> None:
    url = "http://airflow.example.com/execution/"
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", url)
    answer = httpx.Response(
        status, json={"detail": {"reason": "why"}}, request=httpx.Request("PATCH", url)
    )
    with pytest.raises(httpx.HTTPStatusError) as caught:
        raise_on_4xx_5xx(answer)
    said = program.refusal(caught.value)
    assert words in said and url in said
    # The address of a relay is a secret.
    monkeypatch.setenv("REMOTE_RELAY_URL", url)
    assert url not in program.refusal(caught.value)
    assert program.refusal(RuntimeError("of the task")) is None


def test_why_it_waits_for_the_execution_api_is_said(source: str) -> None:
    text = f"""program = {{}}
exec({source!r}, program)
program["says_why_it_waits"]()
from airflow.sdk.api.client import Client
try:
    Client(base_url="http://127.0.0.1:9/execution/", token="t").request("GET", "x")
except Exception as error:
    print(type(error).__name__)
"""
    env = {
        "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "3",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MIN": "0.01",
        "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "0.02",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://127.0.0.1:9/execution/",
        "NO_PROXY": "127.0.0.1",
    }
    done = subprocess.run(
        [sys.executable, "-c", text],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | env,
    )
    assert done.stdout.endswith("ConnectError\n")
    said = [line for line in done.stderr.splitlines() if line.startswith("Airflow's Execution")]
    (words,) = said
    assert "at http://127.0.0.1:9/execution/ does not answer this host" in words
    assert "set [remote] execution_api_url, or relay, for Airflow" in words


def test_a_task_of_another_version_is_refused_without_its_token(source: str) -> None:
    given = json.dumps({"type": "ExecuteTask", "token": "eyJ-secret", "ti": {"id": "eyJ-secret"}})
    done = subprocess.run(
        [sys.executable, "-c", f"{source}\nmain()\n"],
        input=given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "eyJ" not in done.stdout + done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("the task cannot be read (ExecuteTask.")
    assert "have the minor version of the scheduler in the environment of tasks" in last


LEAVES = """
import atexit, threading, time
atexit.register(print, "at the end")
threading.Thread(target=lambda: (time.sleep(0.2), print("a thread"))).start()
print("printed")
program["leave"](CODE)
"""


@pytest.mark.parametrize(("code", "status"), [("0", 0), ("None", 0), ("3", 3), ("-9", 247)])
def test_it_leaves_as_python_does(source: str, code: str, status: int) -> None:
    text = f"program = {{}}\nexec({source!r}, program)\n{LEAVES.replace('CODE', code)}"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout == "printed\na thread\nat the end\n"
