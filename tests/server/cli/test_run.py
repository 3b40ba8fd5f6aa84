"""`remote-server run` in real processes."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.server_program import (
    DEADLINE,
    PROGRAM,
    Program,
    call,
    environment,
    started,
)

READY = "first admin token is in"


def run(data: Path, **env: str):
    return started("run", "--listen", "127.0.0.1:0", "--data-dir", data, until=READY, **env)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    with run(tmp_path / "data") as server:
        token = (tmp_path / "data" / "admin-token").read_text().strip()
        assert str(tmp_path / "data" / "admin-token") in "".join(server.said)
        assert token not in "".join(server.said)
        assert server.get("/api/v1/version")["product"] == "remote-server"
        assert server.get("/api/v1/jobs", token)["items"] == []
        assert server.stop(number) == 0


def test_everything_by_the_environment(tmp_path: Path) -> None:
    env = {
        "REMOTE_SERVER_LISTEN": "127.0.0.1:0",
        "REMOTE_SERVER_DATA_DIR": str(tmp_path / "data"),
        "REMOTE_SERVER_LOG_FORMAT": "json",
    }
    with started("run", until=READY, **env) as server:
        assert server.get("/healthz") == {"status": "ok", "detail": ""}


def test_a_killed_server_comes_back(tmp_path: Path) -> None:
    with run(tmp_path / "data") as server:
        token = (tmp_path / "data" / "admin-token").read_text().strip()
        job = server.get("/api/v1/jobs", token, body={"command": ["true"]})["id"]
        assert server.stop(signal.SIGKILL) == -signal.SIGKILL
    with run(tmp_path / "data") as server:
        assert server.get(f"/api/v1/jobs/{job}", token)["state"] == "queued"


def test_what_is_in_the_way_is_said(tmp_path: Path) -> None:
    def refused(code: int, *arguments: str | Path) -> str:
        said = call("run", *arguments)
        assert said.returncode == code, said.stderr
        (line,) = [x for x in said.stderr.splitlines() if x.startswith("remote-server: ")]
        assert "Traceback" not in said.stderr
        return line

    here = ("--data-dir", tmp_path / "data")
    with run(tmp_path / "data") as server:
        in_use = server.url.removeprefix("http://")
        assert "is using the data directory" in refused(1, *here, "--listen", "127.0.0.1:0")
        elsewhere = ("--data-dir", tmp_path / "other")
        assert "is in use" in refused(1, *elsewhere, "--listen", in_use)
    (tmp_path / "file").write_text("")
    assert "not a directory" in refused(2, "--data-dir", tmp_path / "file")
    tls = ("--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.pem")
    assert "cannot be read" in refused(2, *here, *tls)


def test_an_open_connection_does_not_hold_the_stop(tmp_path: Path) -> None:
    with run(tmp_path / "data") as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as idle:
            idle.sendall(b"GET /heal")
            assert server.stop() == 0


def test_the_log_level_debug_shows_requests_without_tokens(tmp_path: Path) -> None:
    def look(server: Program) -> str:
        token = (tmp_path / "data" / "admin-token").read_text().strip()
        server.get("/api/v1/jobs", token)
        server.stop()
        assert server.process.stdout
        said = server.process.stdout.read()
        assert token not in said
        return said

    with run(tmp_path / "data", REMOTE_SERVER_LOG_LEVEL="debug") as server:
        assert "/api/v1/jobs" in look(server)
    with run(tmp_path / "data") as server:
        assert "/api/v1/jobs" not in look(server)


def test_all_addresses_are_named_and_plain_http_is_warned_of_once(tmp_path: Path) -> None:
    line = ("run", "--data-dir", tmp_path / "data", "--listen")
    with started(*line, ":0", until=READY, REMOTE_SERVER_DATADIR="x") as server:
        server.stop()
        assert server.process.stdout
        said = "".join(server.said) + server.process.stdout.read()
        assert re.search(
            r"listens on all addresses of this host: .*http://127\.0\.0\.1:\d+\n", said
        )
        assert said.count("plain HTTP beyond this host") == 1
        assert "--tls-cert" in said and "--insecure" in said
        assert said.count("did you mean REMOTE_SERVER_DATA_DIR?") == 1
    with started(*line, "127.0.0.1:0", until=READY) as server:
        server.stop()
        assert server.process.stdout
        said = "".join(server.said) + server.process.stdout.read()
        assert "plain HTTP" not in said and "all addresses" not in said


def small_disk(folder: Path, kilobytes: int, *command: str | Path) -> list[str | Path]:
    """A command line that runs `command` where `folder` is a disk of this size, seen by it only."""
    script = 'mount -t tmpfs -o size="$2"k none "$1" && shift 2 && exec "$@"'
    space = ["unshare", "--mount", "--propagation", "private"]
    return [*space, "sh", "-c", script, "sh", folder, str(kilobytes), *command]


@pytest.mark.skipif(
    subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode != 0,
    reason="needs the right to make a mount namespace",
)
@pytest.mark.parametrize("kilobytes", [4, 16, 260])
def test_a_first_start_on_a_full_disk_is_a_sentence(tmp_path: Path, kilobytes: int) -> None:
    line = ("run", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data")
    said = subprocess.run(
        small_disk(tmp_path, kilobytes, PROGRAM, *line),
        env=environment(), capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    assert said.returncode in (1, 2), said.stderr
    assert "Traceback" not in said.stderr, said.stderr
    (sentence,) = [x for x in said.stderr.splitlines() if x.startswith("remote-server: ")]
    assert re.search("make room on|free some space", sentence), sentence
