"""What stops an agent before it is one. What a started one does is in test_agent.py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.app.start import run
from remote_agent.config import Config
from remote_agent.connection.identity import Identity, save_identity
from remote_agent.errors import ConfigError
from remote_agent.local.lock import exclusive


def test_a_host_that_is_not_registered(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"not registered.*remote-agent register"):
        run(Config(state_dir=tmp_path))


def test_a_state_directory_at_which_another_agent_works(tmp_path: Path) -> None:
    save_identity(tmp_path, Identity("http://127.0.0.1:1", "web-7", "rat_x"))
    with exclusive(tmp_path):
        # In a process of its own: it sets up the log and the umask before it takes the lock.
        call = [sys.executable, "-m", "remote_agent", "run", "--state-dir", str(tmp_path)]
        ended = subprocess.run(call, check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "another agent" in ended.stderr
