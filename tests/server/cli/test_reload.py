"""SIGHUP and the signals without a meaning, in real servers; what changed, as plain data."""

from __future__ import annotations

import shutil
import signal
import ssl
import time
import urllib.request
from pathlib import Path

import pytest

from remote_server.cli.reload import changed
from remote_server.config import Config, load
from tests.server.test_tls import issue
from tests.support.server_program import DEADLINE, Program, started

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signals here")


def test_every_changed_setting_is_found() -> None:
    old = load(None, {})
    assert changed(old, old) == set()
    new = load(None, {"REMOTE_SERVER_LIMITS_MAX_FOLLOWERS": "7", "REMOTE_SERVER_LISTEN": ":1"})
    assert changed(old, new) == {("limits", "max_followers"), ("server", "listen")}


def test_changed_relays_are_named(tmp_path: Path) -> None:
    def relays(*names: str, queue: str = "default") -> Config:
        parts = [f'[relay.{n}]\nurl = "http://{n}:8080"\nqueues = ["{queue}"]\n' for n in names]
        file = tmp_path / "server.toml"
        file.write_text("".join(parts))
        return load(file, {})

    both = relays("airflow", "index")
    assert changed(both, relays("airflow", "index")) == set()
    assert changed(both, relays("index", "new")) == {("relay.airflow", ""), ("relay.new", "")}
    assert changed(both, relays("airflow", "index", queue="berlin")) == {
        ("relay.airflow", ""),
        ("relay.index", ""),
    }


def line_with(server: Program, *words: str) -> str:
    """The next line that holds all words."""
    assert server.process.stdout is not None
    ends = time.monotonic() + DEADLINE
    for line in server.process.stdout:
        if all(word in line for word in words):
            return str(line)
        assert time.monotonic() < ends
    raise AssertionError(f"it ended without saying {words}")


def test_the_configuration_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('[server]\nlisten = "127.0.0.1:0"\nlog_level = "info"\n')
    line = ("run", "--config", file, "--data-dir", tmp_path / "data")
    with started(*line, until="token is in") as server:
        file.write_text(
            '[server]\nlisten = "127.0.0.1:1"\nlog_level = "debug"\n[limits]\nmax_followers = 7\n'
        )
        server.process.send_signal(signal.SIGHUP)
        later = line_with(server, "change when the server is restarted")
        assert "[limits] max_followers" in later and "[server] listen" in later
        assert "log_level" not in later
        server.get("/healthz")
        assert line_with(server, "debug", "/healthz")
        # A fault is named with its place, and changes nothing.
        file.write_text("[server]\nlog_level = 'loud'\n")
        server.process.send_signal(signal.SIGHUP)
        assert f"{file}:2" in line_with(server, "the configuration stays as it is")
        assert server.get("/healthz")["status"] == "ok"
        assert server.stop() == 0


def test_certificate_and_key_are_read_again(tmp_path: Path) -> None:
    cert, key = issue(tmp_path / "tls", "127.0.0.1")
    first = Path(shutil.copy(tmp_path / "tls" / "ca.pem", tmp_path / "first.pem"))
    tls = ("--tls-cert", cert, "--tls-key", key)
    line = ("run", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data", *tls)
    with started(*line, until="token is in") as server:
        assert answers(server, first)
        second, _ = issue(tmp_path / "tls", "127.0.0.1")
        server.process.send_signal(signal.SIGHUP)
        line_with(server, "was read again", "certificate and key")
        assert answers(server, tmp_path / "tls" / "ca.pem") and not answers(server, first)
        second.write_text("no certificate")
        server.process.send_signal(signal.SIGHUP)
        line_with(server, "stays as it is", "not PEM files")
        assert answers(server, tmp_path / "tls" / "ca.pem")


def answers(server: Program, ca: Path) -> bool:
    trust = ssl.create_default_context(cafile=ca)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
    )
    try:
        with opener.open(f"{server.url}/healthz", timeout=DEADLINE) as response:
            return bool(response.status == 200)
    except OSError as error:
        assert "CERTIFICATE_VERIFY_FAILED" in str(error)
        return False


def test_other_signals_do_not_end_it(tmp_path: Path) -> None:
    line = ("run", "--listen", "127.0.0.1:0", "--data-dir", tmp_path / "data")
    with started(*line, until="token is in") as server:
        for name in ("SIGUSR1", "SIGUSR2"):
            server.process.send_signal(getattr(signal, name))
            line_with(server, name, "without a meaning")
        assert server.get("/healthz")["status"] == "ok"
        assert server.stop() == 0
