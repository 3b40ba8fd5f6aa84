"""The lock of the state directory: one at a time, free again when its holder is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.errors import ConfigError
from remote_agent.local.lock import LOCK, exclusive

HOLD = """
import pathlib, sys, time
from remote_agent.local.lock import exclusive
with exclusive(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
    time.sleep(0.3)
"""


def test_one_at_a_time_and_the_other_is_named(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"
        with pytest.raises(ConfigError, match=f"process {os.getpid()}"), exclusive(tmp_path):
            raise AssertionError("the lock was free")
    with exclusive(tmp_path):
        """It is free again."""


def test_a_holder_that_ends_is_waited_for(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ConfigError, match=f"process {holder.pid}"), exclusive(tmp_path, 0.1):
            raise AssertionError("the lock was free")
        holder.stdin.close()
        with exclusive(tmp_path, 20):
            assert (tmp_path / LOCK).read_text() == f"{os.getpid()}\n"


def test_a_directory_that_is_no_use(tmp_path: Path) -> None:
    missing = pytest.raises(ConfigError, match=r"No such file or directory.*--state-dir")
    with missing, exclusive(tmp_path / "none"):
        raise AssertionError("there is no directory")
