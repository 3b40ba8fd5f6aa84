"""Closed standard streams: commands say so, a server works, and no file takes their numbers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.server_program import DEADLINE, PROGRAM, environment


def closed(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run it by a shell that closes or redirects streams as `command` says."""
    return subprocess.run(
        ["sh", "-c", f'exec "$@" {command}', "sh", PROGRAM, *map(str, arguments)],
        env=environment(), capture_output=True, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip


def test_a_command_without_standard_output_says_so(tmp_path: Path) -> None:
    for command in (("version",), ("token", "create", "--role", "admin", "--name", "x")):
        said = closed(">&-", *command)
        assert (said.returncode, said.stderr) == (
            1,
            "remote-server: standard output is closed; nothing can be printed\n",
        )
    assert closed(">&- 2>&-", "version").returncode == 1
    assert closed("<&- 2>&-", "version").stdout.startswith("remote-server ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_output_that_is_full_is_a_sentence() -> None:
    said = closed(">/dev/full", "version")
    assert said.returncode == 1
    assert said.stderr.splitlines()[0] == (
        "remote-server: the output cannot be written: No space left on device"
    )
    assert "Traceback" not in said.stderr


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at /proc")
def test_a_server_starts_with_all_streams_closed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    line = ["run", "--listen", "127.0.0.1:0", "--data-dir", data]
    process = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", PROGRAM, *map(str, line)], env=environment()
    )
    try:
        ends = time.monotonic() + DEADLINE
        while not (data / "admin-token").exists():
            assert process.poll() is None and time.monotonic() < ends
            time.sleep(0.02)
        for number in range(3):
            assert os.readlink(f"/proc/{process.pid}/fd/{number}") == "/dev/null"
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE) == 0
    finally:
        process.kill()
        process.wait()


def test_only_what_is_closed_is_filled() -> None:
    code = (
        "import os, sys; os.close(1); from remote_server.cli.streams import fill_closed_streams;"
        "sys.exit(fill_closed_streams() != [1] or os.open(os.devnull, 0) != 3)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
