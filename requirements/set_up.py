"""Make the virtual environment of this checkout: `make setup` calls it.

    python3 requirements/set_up.py VENV KEY run|dev|build|ansible|datahub|celery

`run` installs what the programs need (run.txt) and the five distributions, editable; `dev` adds
what testing and checking need (dev.txt). `build` makes another environment, with what builds
(build.txt) and nothing else; `ansible` one with what the role is tested with (ansible.txt);
`datahub` one with the real acryl-datahub (datahub.txt). An environment is whole when it holds its
stamp, `.ready-KIND-KEY`. The stamp goes before anything is changed and comes back at the end: what
an interrupted set-up left behind, at whatever moment, is thrown away and made anew. KEY stands for
the path of the checkout: scripts and editable installs hold it, so that a copied checkout sets
itself up again.

Standard library only. Touches VENV, starts pip.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
DISTS: Final = ("protocol", "agent", "server", "client", "datahub")
APART: Final = {
    "build": "the tools that build",
    "ansible": "Ansible and its lint",
    "datahub": "the real acryl-datahub",
    "celery": "Celery with Redis",
}
"""What is in an environment of its own, by kind."""
_EVERY: Final = 10.0
"""Seconds between two words about a step that goes on, where there is no terminal."""
_PAUSES: Final = (5.0, 15.0, 45.0)
"""Seconds to wait before a download is tried again."""
_MAY_PASS: Final = re.compile(
    "timed out|timeout|connection|HTTP error (408|429|5)|name resolution|Name or service|SSL"
    "|Max retries|IncompleteRead|incomplete|No matching distribution",
    re.IGNORECASE,
)
"""What pip says when the index does not answer as it should; of a page that it could not have it
says that there is no such distribution."""


class Failed(Exception):
    """A step failed; its text says why and what to do."""

    def __init__(self, text: str, may_pass: bool = False) -> None:
        super().__init__(text)
        self.may_pass = may_pass
        """Whether the same may work a moment later."""


class Progress:
    """Says on stderr what is done: a line that counts the seconds on a terminal, else lines."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.step = 0
        self._live = sys.stderr.isatty()
        self._what, self._began, self._next = "", 0.0, 0.0

    def begin(self, what: str) -> None:
        """The next step begins."""
        self.step += 1
        self._what, self._began, self._next = what, time.monotonic(), _EVERY
        if not self._live:
            self._write(f"{self._head()} ...\n")
        self.tick("")

    def tick(self, detail: str) -> None:
        """The step goes on; `detail` says how far."""
        passed = time.monotonic() - self._began
        if self._live:
            # A terminal that does not know its width says 0.
            columns = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            line = f"{self._head()} ... {passed:.0f} s  {detail}"
            self._write(f"\r\x1b[K{line[: columns - 1]}")
        elif passed >= self._next:
            self._next += _EVERY
            self._write(f"{self._head()} ... {passed:.0f} s  {detail}\n")

    def note(self, text: str) -> None:
        """Say something that is worth a line of its own; the step goes on."""
        self._write(f"{self.start_of_line}{self._head()}: {text}\n")

    def end(self) -> None:
        """The step is done."""
        passed = time.monotonic() - self._began
        self._write(f"{self.start_of_line}{self._head()}: {passed:.1f} s\n")

    @property
    def start_of_line(self) -> str:
        """What removes the line that counts."""
        return "\r\x1b[K" if self._live else ""

    def _head(self) -> str:
        return f"set-up {self.step}/{self.steps}: {self._what}"

    @staticmethod
    def _write(text: str) -> None:
        # A reader that has gone (`make setup 2>&1 | head`) does not stop the set-up.
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()


class SetUp:
    """One set-up of one environment."""

    def __init__(self, venv: Path, key: str) -> None:
        self.venv = venv
        self.key = key
        self.python = venv / "bin" / "python"

    def stamp(self, kind: str) -> Path:
        """The file that says that the environment is whole; make compares its age."""
        return self.venv / f".ready-{kind}-{self.key}"

    def whole(self, kind: str = "run") -> bool:
        """Whether the environment was finished, and its interpreter still starts."""
        if not self.stamp(kind).exists():
            return False
        try:
            return subprocess.run([self.python, "-c", ""], check=False).returncode == 0
        except OSError:
            return False

    def run(self) -> None:
        """The programs and what they need."""
        whole = self.whole()
        progress = Progress(2 if whole else 3)
        self._forget()
        if not whole:
            self._make(progress)
        progress.begin("the run-time packages")
        self._pip(progress, "--require-hashes", "--no-deps", "-r", "requirements/run.txt")
        progress.end()
        progress.begin("the five distributions of this checkout")
        editable = [word for dist in DISTS for word in ("-e", f"./{dist}")]
        self._pip(progress, "--no-deps", "--no-build-isolation", *editable)
        self._call(progress, self.python, "-m", "pip", "check", *_QUIET)
        progress.end()
        self.stamp("run").touch()

    def dev(self) -> None:
        """The tools for testing, checking and building. The programs must be there."""
        progress = Progress(1)
        self._forget()
        progress.begin("the tools for tests and checks")
        self._pip(progress, "--require-hashes", "--no-deps", "-r", "requirements/dev.txt")
        self._call(progress, self.python, "-m", "pip", "check", *_QUIET)
        progress.end()
        self.stamp("run").touch()
        self.stamp("dev").touch()

    def apart(self, kind: str) -> None:
        """What has an environment of its own, which is always made anew."""
        progress = Progress(2)
        self._forget()
        self._make(progress)
        progress.begin(APART[kind])
        self._pip(progress, "--require-hashes", "--no-deps", "-r", f"requirements/{kind}.txt")
        self._call(progress, self.python, "-m", "pip", "check", *_QUIET)
        progress.end()
        self.stamp(kind).touch()

    def _make(self, progress: Progress) -> None:
        self._refuse_what_is_not_ours()
        progress.begin(f"a virtual environment in {self._shown()}")
        self._call(progress, sys.executable, "-m", "venv", "--clear", self.venv)
        progress.end()

    def _refuse_what_is_not_ours(self) -> None:
        """It is about to be emptied. Failed when it is a folder with somebody's files."""
        names = (".venv", *(f".venv-{kind}" for kind in APART))
        ours = self.venv.parent == ROOT and self.venv.name in names
        ours = ours or (self.venv / "pyvenv.cfg").exists()
        if not ours and self.venv.exists() and any(self.venv.iterdir()):
            raise Failed(
                f"set-up: {self.venv} is not a virtual environment, and holds files; name another "
                "folder with VENV=…"
            )

    def _forget(self) -> None:
        for stamp in self.venv.glob(".ready-*"):
            stamp.unlink()

    def _shown(self) -> str:
        with contextlib.suppress(ValueError):
            return str(self.venv.relative_to(ROOT))
        return str(self.venv)

    def _pip(self, progress: Progress, *words: str) -> None:
        pip = ("-m", "pip", "install", "--progress-bar", "off", *_QUIET, *words)
        for pause in _PAUSES:
            try:
                return self._call(progress, self.python, *pip)
            except Failed as error:
                if not error.may_pass:
                    raise
            progress.note(f"the package index did not answer; trying again in {pause:.0f} s")
            time.sleep(pause)
        self._call(progress, self.python, *pip)

    def _call(self, progress: Progress, *command: str | Path) -> None:
        """Run one program, show what it is at. Failed with its last words."""
        said: deque[str] = deque(maxlen=30)
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            # A group of its own: whatever it starts ends with it, on Ctrl-C and on SIGTERM alike.
            process_group=0,
        )
        try:
            detail = ""
            for line in _lines(process):
                if line is not None:
                    said.append(line)
                    detail = _detail(line) or detail
                progress.tick(detail)
            code = process.wait()
        except BaseException:
            _end(process)
            raise
        if code != 0:
            may_pass = any(_MAY_PASS.search(line) for line in said)
            raise Failed(f"{progress.start_of_line}{_why(said, code)}", may_pass)


def _end(process: subprocess.Popen[str]) -> None:
    """Interrupt a program and what it started, so that pip removes its temporary files; after five
    seconds end them."""
    for number, patience in ((signal.SIGINT, 5.0), (signal.SIGKILL, None)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)


_QUIET: Final = ("--disable-pip-version-check", "--no-input", "--no-color")


def _lines(process: subprocess.Popen[str]) -> Iterator[str | None]:
    """The lines of a program's output, and None whenever it is silent for a moment."""
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    output = process.stdout
    assert output is not None

    def read() -> None:
        with output:
            for line in output:
                lines.put(line.rstrip())
        lines.put(None)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while True:
        try:
            line = lines.get(timeout=0.5)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line


def _detail(line: str) -> str:
    """How far pip is, from a line of its output; empty for lines that do not tell."""
    if match := re.match(r"(?:Collecting|Downloading|Using cached) (\S+)", line.strip()):
        return match[1].rpartition("/")[2]
    if line.startswith("Installing collected packages"):
        return f"unpacking {line.count(',') + 1} packages"
    return ""


def _why(said: Sequence[str], code: int) -> str:
    errors = [line for line in said if line.startswith(("ERROR", "Error"))]
    words = "\n".join(f"  {line}" for line in errors or said)
    return (
        f"set-up failed (exit code {code}):\n{words}\n"
        "Is the package index reachable (network, proxy, pip's configuration), and is there room "
        "on the disk? Then repeat the command: it begins anew."
    )


def _ended(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@contextlib.contextmanager
def alone() -> Iterator[bool]:
    """Only one set-up works in a checkout. Gives whether another one had to be waited for."""
    lock, waited = os.open(ROOT, os.O_RDONLY), False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("set-up: waiting for another one in this checkout", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
        waited = True
    try:
        yield waited
    finally:
        os.close(lock)


def main(venv: str, key: str, kind: str) -> int:
    """Bring the environment up to date; the exit code."""
    signal.signal(signal.SIGTERM, _ended)
    setup = SetUp(Path(venv).absolute(), key)
    try:
        with alone() as waited:
            if waited and setup.whole(kind):
                return 0
            if kind in APART:
                setup.apart(kind)
            elif kind == "run" or not setup.whole():
                setup.run()
            if kind == "dev":
                setup.dev()
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; repeat the command, it begins anew", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
