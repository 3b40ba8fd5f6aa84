"""The program remote-server in processes of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.support import forked

PROGRAM = str(Path(sys.executable).with_name("remote-server"))
DEADLINE = 60.0


def environment(**more: str) -> dict[str, str]:
    """The environment without anything that would configure a program here."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("REMOTE_")}
    return {**clean, **more}


def call(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process of its own."""
    words = [PROGRAM, *map(str, arguments)]
    return forked.call("remote_server.__main__", words, environment(**env), DEADLINE)


@dataclass
class Program:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    said: list[str]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)

    def get(self, path: str, token: str = "", **more: Any) -> Any:
        """A JSON answer."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = json.dumps(more["body"]).encode() if "body" in more else None
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=DEADLINE) as response:
            return json.load(response)


@contextmanager
def started(*arguments: str | Path, until: str, **env: str) -> Iterator[Program]:
    """Start a command and wait until it prints a line that matches `until`."""
    process = subprocess.Popen(
        [PROGRAM, *map(str, arguments)],
        env=environment(**env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = _read(process.stdout, until)
        match = re.search(r"https?://[^\s\"',]+", "".join(said))
        assert match, said
        yield Program(process, match[0], said)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _read(stream: IO[str], until: str) -> list[str]:
    said: list[str] = []
    ends = time.monotonic() + DEADLINE
    for line in stream:
        said.append(line)
        if re.search(until, line):
            return said
        assert time.monotonic() < ends, said
    raise AssertionError(f"it ended and said: {''.join(said)}")
