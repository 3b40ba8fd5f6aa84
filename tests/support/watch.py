"""Watches a server process from outside while it is attacked: whether it answers, what it takes.

    with watching(stack) as watch:
        …
        watch.check()    at any time, and once more at the end

A server must answer `/healthz` within a second throughout, take no more than 64 MiB on top of what
it had, and log no traceback. Time in which its main thread had no processor, or nobody got an
answer of the disk, does not count.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bed import memory
from tests.support import probe_health
from tests.support.alarms import HELD
from tests.support.stack import Stack, until

MOST_HELD = 1.0
"""Seconds."""
MOST_MEMORY = 64.0
"""MiB above the warm server."""
TROUBLE = re.compile(r"Traceback|unhandled|never retrieved|AssertionError|Exception in callback")


@dataclass(frozen=True)
class Answer:
    """One answer to the probe, in seconds; `held` is what the server itself took, `asked` when it
    was asked, by the monotonic clock."""

    asked: float
    held: float
    wrong: str


class Watch:
    """What was seen of one server since the watch began, or since the last `rebase`."""

    def __init__(
        self, stack: Stack, most_memory: float = MOST_MEMORY, most_held: float = MOST_HELD
    ) -> None:
        self.most_memory = most_memory
        self.most_held = most_held
        self.answers: list[Answer] = []
        self._from = 0.0
        self._server = stack.server
        self._said = _size(stack.server.log)
        self._read = self._said
        self.pid = stack.server.pid
        self._base = 0.0
        self.rebase()
        self._probe = subprocess.Popen(
            [sys.executable, "-S", "-E", probe_health.__file__, "127.0.0.1", str(stack.port),
             str(self.pid), str(stack.server.log.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()
        until(self._ready.is_set, "the probe has an answer", 30)

    # Figures -----------------------------------------------------------------------------------

    @property
    def slowest(self) -> float:
        """Seconds of the slowest answer."""
        return max((answer.held for answer in self.answers), default=0.0)

    @property
    def grown(self) -> float:
        """MiB by which the server's memory has grown at its peak."""
        return memory(self.pid, "VmHWM") - self._base

    @property
    def logged(self) -> int:
        """Bytes that the server has logged."""
        return _size(self._server.log) - self._said

    def rebase(self) -> None:
        """Take the present memory for that of the warm server."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")  # proc(5): forget the peak
        self._base = memory(self.pid, "VmRSS")

    def count_from_now(self) -> None:
        """Judge only the answers to what is asked from now on."""
        self._from = time.monotonic()

    def said(self) -> str:
        """What the server has logged since the watch began."""
        with self._server.log.open("rb") as file:
            file.seek(self._said)
            return file.read().decode(errors="replace")

    # Judgement ---------------------------------------------------------------------------------

    def faults(self) -> list[str]:
        """What is wrong, one sentence each. What was told once is not told again."""
        found = []
        if not self._server.running:
            found.append(f"the server ended:\n{self._server.words()}")
            return found
        fresh, self.answers = self.answers, []
        for answer in fresh:
            if answer.asked < self._from:
                continue
            if answer.wrong:
                found.append(f"/healthz answered {answer.wrong}")
            elif answer.held > self.most_held:
                found.append(f"/healthz took {answer.held:.2f} s")
        grown = self.grown
        if grown > self.most_memory:
            found.append(f"the server's memory has grown by {grown:.0f} MiB")
            self.rebase()
        found += self._log_faults()
        return found

    def check(self) -> None:
        """AssertionError that names every fault."""
        faults = self.faults()
        assert not faults, "\n".join(faults[:10])

    def close(self) -> None:
        """End the probe."""
        if self._probe.stdin is not None and not self._probe.stdin.closed:
            self._probe.stdin.close()
        try:
            self._probe.wait(2 * probe_health.TIMEOUT)
        finally:
            self._probe.kill()
            self._probe.wait()
            self._reader.join(5)
            if self._probe.stdout is not None:
                self._probe.stdout.close()

    def _log_faults(self) -> list[str]:
        with self._server.log.open("rb") as file:
            file.seek(self._read)
            whole = file.read()
        lines = whole[: whole.rfind(b"\n") + 1]
        self._read += len(lines)
        found = []
        for line in lines.decode(errors="replace").splitlines():
            if TROUBLE.search(line) or (HELD in line and _computed(line) > self.most_held):
                found.append(f"the server logged: {line[:2000]}")
        return found

    def _listen(self) -> None:
        assert self._probe.stdout is not None
        for line in self._probe.stdout:
            if line.startswith("ready"):
                self._ready.set()
                continue
            seen = json.loads(line)
            if seen["wrong"] and not self._ready.is_set():
                continue
            held = max(0.0, seen["seconds"] - seen["idle"])
            self.answers.append(Answer(seen["asked"], held, seen["wrong"]))


@contextmanager
def watching(
    stack: Stack, *, most_memory: float = MOST_MEMORY, most_held: float = MOST_HELD
) -> Iterator[Watch]:
    """Watch a stack's running server; what is wrong at the end fails the block."""
    watch = Watch(stack, most_memory, most_held)
    try:
        yield watch
        watch.check()
    finally:
        watch.close()


def _computed(line: str) -> float:
    """Seconds that the server's loop computed without a turn. How long it waited for others, the
    probe knows."""
    said = json.loads(line)
    return math.inf if said.get("goes_on") else float(said["cpu"])


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
