"""The program remote-server in processes of its own."""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PROGRAM = str(Path(sys.executable).with_name("remote-server"))
DEADLINE = 60.0


def environment(**more: str) -> dict[str, str]:
    """The environment without anything that would configure a program here."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("REMOTE_")}
    return {**clean, **more}


# Its children have imported the program already: a command costs milliseconds instead of a second.
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["remote_server.cli.commands"])


def call(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process of its own."""
    words = [PROGRAM, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        about = (words, os.getcwd(), environment(**env), out, err)
        process = _FORKED.Process(target=_command, args=about)
        process.start()
        process.join(DEADLINE)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, DEADLINE, out.read_bytes(), err.read_bytes())
        return subprocess.CompletedProcess(
            words, process.exitcode, out.read_text(), err.read_text()
        )


def _command(words: list[str], folder: str, env: dict[str, str], out: Path, err: Path) -> None:
    os.chdir(folder)
    for descriptor, path in ((1, out), (2, err)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = words
    from remote_server.__main__ import main

    main()


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
