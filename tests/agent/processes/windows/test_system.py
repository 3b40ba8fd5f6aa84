"""Facts about this host and this process."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import os
import signal
import subprocess
from pathlib import Path

from remote_agent.processes.windows import system


def test_the_boot_is_told_by_its_start() -> None:
    assert system.boot_id() == system.boot_id() != ""
    assert system.host_facts().system == "Windows"
    assert system.stop_signals() == [signal.SIGINT, signal.SIGBREAK]
    assert system.sequenced_pair() is None and system.reload_signals() == []


def test_a_process_and_its_start() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = system.start_time(child.pid)
    assert started and system.alive(child.pid, started) and not system.alive(child.pid, "1")
    child.kill()
    child.wait(20)
    assert not system.alive(child.pid, started)
    assert system.start_time(0x7FFF_FFF0) is None
    if child.stdin:
        child.stdin.close()


def test_a_detached_process_has_a_log_and_a_console_of_its_own(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = "import sys; sys.stderr.write('here')"
    process = system.start_detached([sys.executable, "-c", code], dict(os.environ), log)
    assert process.wait(30) == 0
    assert log.read_text() == "here"
