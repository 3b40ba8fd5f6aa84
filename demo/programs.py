"""Long-running programs of a development command: output in files, ended together, none left.

Each has a session of its own, so that a Ctrl-C on the terminal reaches only who started it, and all
carry a mark in their environment, by which what they have started is found at the end.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

_MARK = "REMOTE_DEV_MARK"
_AGAIN = 3.0
"""Seconds from the first signal to the second one, for programs that wait for their tasks."""
_WITHIN = 15.0


class Programs:
    """Those of one command, in the order in which they were started."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self._mark = uuid.uuid4().hex
        self.env = {**env, _MARK: self._mark}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, name: str) -> Path:
        """Where a program's output goes."""
        return self.folder / f"{name}.log"

    def start(self, name: str, command: Sequence[object], env: dict[str, str]) -> None:
        """Start one. Its standard input is a pipe that ends when this process dies."""
        with self.log(name).open("ab") as output:
            self._running[name] = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**self.env, **env},
                start_new_session=True,
            )

    def run(self, name: str, command: Sequence[object], env: dict[str, str]) -> None:
        """Run one to its end. RuntimeError with its last words when that is no good one."""
        with self.log(name).open("ab") as output:
            done = subprocess.run(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self.env, **env},
                check=False,
                start_new_session=True,
            )
        if done.returncode:
            raise RuntimeError(f"{name} ended with {done.returncode}:\n{self.words(name)}")

    def check(self) -> bool:
        """True while all run. RuntimeError with the last words of one that has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.words(name)}")
        return True

    def words(self, name: str, most: int = 3000) -> str:
        """What a program said last."""
        return self.log(name).read_text(errors="replace")[-most:].rstrip()

    def stop(self, *names: str) -> None:
        """End these, all at a time: asked, asked again, then made to."""
        ending = [self._running.pop(name) for name in names if name in self._running]
        began = time.monotonic()
        asked = 0
        while living := [one for one in ending if one.poll() is None]:
            passed = time.monotonic() - began
            if passed > _WITHIN:
                break
            if asked == 0 or (asked == 1 and passed > _AGAIN):
                asked += 1
                for one in living:
                    one.terminate()
            time.sleep(0.05)
        for one in ending:
            # Whatever is left of its session, too.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()
            if one.stdin is not None:
                one.stdin.close()

    def close(self) -> None:
        """End all, the first one last, and whatever they have left."""
        first, *others = self._running or [""]
        self.stop(*others)
        self.stop(first)
        for pid in self._left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _left(self) -> list[int]:
        """Processes that carry the mark; only Linux tells."""
        mark = f"{_MARK}={self._mark}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in entry.read_bytes().split(b"\0"):
                    found.append(int(entry.parent.name))
        return found
