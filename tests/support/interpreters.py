"""A warm interpreter's program, run by itself, and a caller as shims are."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from remote_agent.planning.python import interpreter_program
from remote_agent.processes import memory_file
from remote_agent.processes.forked import ask_for_job, listen_for_jobs

NAME = "socket"
_NUMBERS = count()


class Program:
    """The program with some modules, listening in `folder`."""

    def __init__(
        self,
        folder: Path,
        *modules: str,
        path: Path | None = None,
        python: str = sys.executable,
        user: int | None = None,
    ) -> None:
        self.folder = folder
        for name, data in interpreter_program().items():
            (folder / name).write_bytes(data)
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(20)
        with listen_for_jobs(folder, NAME) as listener, theirs:
            files = (listener.fileno(), theirs.fileno())
            env = {"REMOTE_INTERPRETER": "mark", "PATH": os.defpath}
            self.process = subprocess.Popen(
                [python, "-u", folder / "interpreter.py", *map(str, files), *modules],
                pass_fds=files,
                env=env if path is None else {**env, "PYTHONPATH": str(path)},
                stderr=subprocess.PIPE,
                user=user,
            )

    def said(self) -> dict[str, Any]:
        """What became of its modules."""
        return dict(json.loads(self.control.recv(1 << 16)))

    def end(self) -> int:
        """Let go of it; its exit code."""
        self.control.close()
        self.process.communicate(timeout=20)
        return self.process.returncode


@contextmanager
def running(folder: Path, *modules: str) -> Iterator[Program]:
    """A program that is ready."""
    program = Program(folder, *modules)
    try:
        assert program.said()["ready"]
        yield program
    finally:
        program.end()


class Asked:
    """One job that was asked for, with its output in a pipe."""

    def __init__(self, program: Program, script: str, **fields: Any) -> None:
        file = program.folder / f"script{next(_NUMBERS)}.py"
        file.write_text(script)
        body = {
            "words": [str(file)],
            "env": {"A": "b"},
            "cwd": "/",
            "umask": 0o027,
            **fields,
        }
        request = memory_file(json.dumps(body).encode())
        output, end = os.pipe()
        self.output = os.fdopen(output, "rb")
        try:
            with open(os.devnull, "rb") as empty:
                files = (request, empty.fileno(), end, end)
                self.peer = ask_for_job(str(program.folder / NAME), files, 20)
        except OSError:
            self.output.close()
            raise
        finally:
            os.close(request)
            os.close(end)

    def hear(self) -> dict[str, Any]:
        """The keeper's next message; empty when it is gone."""
        return dict(json.loads(self.peer.recv(1 << 16) or b"{}"))

    def run(self) -> tuple[int, bytes]:
        """Let it run; its wait status and its output."""
        assert self.hear()["pid"] > 0
        self.peer.send(b"go")
        status = int(self.hear()["status"])
        self.peer.send(b"done")
        assert self.hear()["max_rss"] > 0
        self.close()
        with self.output as output:
            return status, output.read()

    def close(self) -> None:
        """Hang up."""
        self.peer.close()
