"""The lock of the state directory: one agent at a time works on it. Touches its file `lock`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from remote_agent.errors import ConfigError
from remote_agent.processes import KEEP, lock_file, open_file

LOCK: Final = "lock"
_LOOK_EVERY: Final = 0.05


@contextmanager
def exclusive(state_dir: Path, timeout: float = 0.0) -> Iterator[None]:
    """Hold the lock. ConfigError when another agent still has it after `timeout` seconds."""
    try:
        descriptor = open_file(state_dir / LOCK, KEEP, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{state_dir} cannot be used ({error.strerror}); see --state-dir"
        ) from None
    try:
        _take(descriptor, state_dir, time.monotonic() + timeout)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, state_dir: Path, until: float) -> None:
    while True:
        if lock_file(descriptor):
            return
        if time.monotonic() < until:
            time.sleep(_LOOK_EVERY)
            continue
        owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        raise ConfigError(
            f"another agent (process {owner}) works on {state_dir}; stop it first, or give"
            " this one a directory of its own with --state-dir"
        )
