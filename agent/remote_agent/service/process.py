"""The process that the service control manager of Windows starts, or launchd: before, during, after
the agent.

Reads the service's variables (Windows); writes its complaints to a file and to the event log.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from platformdirs import site_data_path

from remote_agent.errors import TokenRefused
from remote_agent.processes import APPEND, open_file, report
from remote_agent.service.installing import ENVIRONMENT
from remote_agent.service.own_log import COMPLAINTS, complaint
from remote_agent.service.windows import NAME

_SAYS: Final = "remote-agent: "
"""What a line begins with that the program itself says."""
_LARGEST: Final = 1_000_000
"""Bytes of the file of complaints before it becomes the former one."""


def run_service(run: Callable[[], int], data: Path | None = None) -> int:
    """Run the agent in this process, which is the service; the exit code for the manager."""
    config_dir = data or site_data_path(NAME, appauthor=False)
    state_dir = config_dir / "state"
    os.environ.update(variables(config_dir / ENVIRONMENT))
    os.environ["REMOTE_AGENT_STATE_DIR"] = str(state_dir)
    # As systemd names them for its services.
    os.environ["CONFIGURATION_DIRECTORY"] = str(config_dir)
    os.environ["CREDENTIALS_DIRECTORY"] = str(config_dir)

    return _heard_and_told(run, state_dir)


def run_under_launchd(run: Callable[[], int]) -> int:
    """Run the agent in this process, which launchd has started with its settings as variables; the
    exit code for launchd: it starts again whatever ends with another one than 0."""
    return _heard_and_told(run, Path(os.environ["REMOTE_AGENT_STATE_DIR"]))


def _heard_and_told(run: Callable[[], int], state_dir: Path) -> int:
    with heard(state_dir / "logs" / COMPLAINTS):
        code = run()
    # Started again it would be refused again: an administrator must mend that.
    return 0 if code == TokenRefused.exit_code else code


def variables(file: Path) -> dict[str, str]:
    """The lines `NAME=value` of the service's variables; none without the file."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value for name, value in pairs}


@contextmanager
def heard(file: Path) -> Iterator[None]:
    """Have what is printed meanwhile, as far as it complains, be kept in a file and reported."""
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = _Heard(file)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Heard(io.TextIOBase):
    """Takes lines; those that complain go to the file and to the event log."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rest = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            said = line.removeprefix(_SAYS)
            if words := complaint(line) if said == line else said:
                self._keep(words)
        return len(text)

    def _keep(self, words: str) -> None:
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            if self._file.exists() and self._file.stat().st_size > _LARGEST:
                self._file.replace(self._file.with_suffix(".log.1"))
            with open(open_file(self._file, APPEND), "ab") as file:
                file.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {words}\n".encode())
        with suppress(OSError):
            report(NAME, words, error=True)
