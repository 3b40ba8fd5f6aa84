"""Warm interpreters: starts those that jobs want, and ends them. Processes, sockets, their log.

Each is a Python that has imported what its jobs name (`planning/interpreter.py`), and shims ask it
by its socket. It is no more than a shorter way: where there is none, where it cannot be reached or
dies, shims start jobs by their command. Jobs that were forked do not depend on it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import structlog

from remote_agent.errors import os_words
from remote_agent.planning.order import venv_variables
from remote_agent.planning.python import INTERPRETERS, environment_program, interpreter_program
from remote_agent.planning.work import Interpreter
from remote_agent.processes import rename, sequenced_pair, start_detached
from remote_agent.processes.forked import listen_for_jobs
from remote_agent.sections import PythonPart
from remote_agent.shim.layout import INTERPRETER_MARK
from remote_protocol.units import plain_size

log = structlog.get_logger("interpreters")

LOG: Final = "interpreters.log"
LARGEST_LOG: Final = 5_000_000
IMPORTED_WITHIN: Final = 60.0
"""Seconds that jobs wait for an interpreter to be ready; then they start without."""
TRIED_AGAIN: Final = 300.0
"""Seconds until an interpreter is started again that could not import its modules."""
IDLE: Final = 900.0
"""Seconds after its last job when an interpreter ends."""
LIFETIME: Final = 3600.0
JOBS: Final = 1000
"""Seconds, and jobs, after which it is replaced, so that nothing can pile up."""
NOT_PREPARED: Final = 125
"""Exit code of one whose environment is not there (`planning.environment`)."""
_PROGRAM: Final = "interpreter.py"
_LARGEST: Final = 1 << 16
_ENTRANCE: Final = ".environment"
"""After an interpreter's name: the folder of the program that enters its environment."""


class _Running:
    """One interpreter. `now` is the monotonic clock."""

    def __init__(
        self, process: subprocess.Popen[bytes], control: Any, most: int, now: float
    ) -> None:
        self.process = process
        self.most = most
        """Bytes that it may take when its modules are imported."""
        self._control = control
        self.since = self.wanted_at = now
        self.jobs = 0
        self.size: int | None = None
        """Bytes that it takes; None: its modules are being imported."""
        self.failure = ""
        self._folders: list[tuple[str, int]] = []

    def is_ready(self) -> bool:
        """Whether its modules are imported."""
        return self.size is not None

    def hear(self) -> None:
        """Take what it has said of its modules."""
        try:
            data = self._control.recv(_LARGEST)
            if not data and self.process.poll() is None:
                return  # it is about to end
            said = json.loads(data)
            if "failed" in said:
                self.failure = str(said["failed"])
                return
            self._folders = [(str(path), _changed(str(path))) for path in said["folders"]]
            self.size = int(said["size"])
        except BlockingIOError:
            return
        except (OSError, ValueError, KeyError, TypeError):
            self.failure = f"it died while it imported them; {LOG} may tell why"

    def stale(self, now: float) -> bool:
        """Whether another one must take its place."""
        old = self.jobs >= JOBS or now - self.since >= LIFETIME
        gone = self.process.poll() is not None
        return old or gone or any(_changed(path) != at for path, at in self._folders)

    def close(self) -> None:
        """Let it end with its last job."""
        self._control.close()


class Interpreters:
    """Those of one agent, by the names of `Interpreter`. `inherited` is what jobs have of the
    agent's environment; `place` moves a process to where shims belong."""

    def __init__(
        self,
        state_dir: Path,
        inherited: Mapping[str, str],
        descriptors: int | None = None,
        place: Callable[[int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = state_dir / INTERPRETERS
        self._log = state_dir / "logs" / LOG
        self._inherited = inherited
        self._descriptors = descriptors
        self._place = place
        self._clock = clock
        self._running: dict[str, _Running] = {}
        self._failed: dict[str, float] = {}
        """When those may be tried again that could not be had."""
        self._waiting: dict[str, str] = {}
        """Interpreters of attempts that have not been started."""
        self._ending: list[subprocess.Popen[bytes]] = []
        self._prepared = False

    def want(self, attempt: str, wanted: Interpreter, settings: PythonPart) -> None:
        """An attempt will be forked from this one: have it ready, within these settings."""
        name, now = wanted.name, self._clock()
        running = self._running.get(name)
        if running is not None and running.stale(now):
            self._end(name)
            running = None
        if running is None:
            if self._failed.get(name, now) > now:
                return
            self._make_room(now, settings.warm)
            running = self._start(wanted, settings.warm_memory, now)
            if running is None:
                return
        running.jobs += 1
        running.wanted_at = now
        if not running.is_ready():
            self._waiting[attempt] = name

    def pending(self, attempt: str) -> bool:
        """Whether the attempt should wait, because its interpreter imports its modules."""
        name = self._waiting.get(attempt)
        if name is None:
            return False
        running = self._running.get(name)
        if running is not None:
            self._look(name, running)
            if name in self._running and not running.is_ready():
                return True
        self._waiting.pop(attempt, None)
        return False

    def tick(self) -> None:
        """About once a second: end what nobody wants, reap what has ended."""
        now = self._clock()
        for name, running in list(self._running.items()):
            self._look(name, running)
            if now - running.wanted_at >= IDLE or running.process.poll() is not None:
                self._end(name)
        self._ending = [process for process in self._ending if process.poll() is None]

    def pids(self) -> list[int]:
        """Processes that have not ended."""
        processes = [*(one.process for one in self._running.values()), *self._ending]
        return [process.pid for process in processes if process.poll() is None]

    def close(self) -> None:
        """Let go of all: each ends with its last job."""
        for name in list(self._running):
            self._end(name)
        for process in self._ending:
            # It may live on; that is no leak of this process, so Popen must not warn.
            if process.poll() is None:
                process.returncode = 0
        self._ending.clear()

    # One of them --------------------------------------------------------------------------------

    def _start(self, wanted: Interpreter, most: int, now: float) -> _Running | None:
        pair = sequenced_pair()
        assert pair is not None, "FORKS_JOBS says that there are such sockets"
        mine, its = pair
        try:
            self._prepare()
            listener = listen_for_jobs(self._folder, wanted.name)
            try:
                process = start_detached(
                    [
                        *(wanted.python, *self._entrance(wanted)),
                        *("-u", str(self._folder / _PROGRAM)),
                        *(str(listener.fileno()), str(its.fileno()), *wanted.modules),
                    ],
                    {
                        **self._inherited,
                        **venv_variables(wanted.venv, self._inherited),
                        **wanted.variables,
                        INTERPRETER_MARK: uuid.uuid4().hex,
                    },
                    self._log,
                    (listener.fileno(), its.fileno()),
                    self._descriptors,
                )
            finally:
                listener.close()
        except OSError as error:
            mine.close()
            self._clear(wanted.name)
            self._fail(wanted.name, os_words(error, wanted.python))
            return None
        finally:
            its.close()
        mine.setblocking(False)
        if self._place is not None:
            self._place(process.pid)
        log.info("an interpreter imports modules", modules=list(wanted.modules), pid=process.pid)
        running = self._running[wanted.name] = _Running(process, mine, most, now)
        return running

    def _prepare(self) -> None:
        """Make the folder of sockets, with the program in it. OSError."""
        if self._prepared:
            return
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for left in self._folder.iterdir():
            # Of a former agent: sockets, and what Python has kept of the program.
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        for name, data in interpreter_program().items():
            (self._folder / name).write_bytes(data)
        with suppress(FileNotFoundError):
            if self._log.stat().st_size > LARGEST_LOG:
                rename(self._log, self._log.with_name(f"{LOG}.1"))
        self._log.touch(mode=0o600)
        self._prepared = True

    def _entrance(self, wanted: Interpreter) -> tuple[str, ...]:
        """What comes first where the environment is one that a job has prepared: the program that
        enters it, or ends when it is not there. OSError."""
        if wanted.settings is None:
            return ()
        folder = self._folder / f"{wanted.name}{_ENTRANCE}"
        folder.mkdir(mode=0o700, exist_ok=True)
        settings = {
            **wanted.settings, "only_prepared": True, "failure": str(folder / "failure"),
        }  # fmt: skip
        (folder / "environment.json").write_text(json.dumps(settings))
        (folder / "environment.py").write_bytes(environment_program())
        return ("-I", str(folder / "environment.py"))

    def _look(self, name: str, running: _Running) -> None:
        """See whether it is ready, or will never be."""
        if running.is_ready():
            return
        running.hear()
        most = running.most
        if running.size is not None and running.size > most:
            running.failure = (
                f"its modules take {plain_size(running.size)}; [python] warm_memory allows "
                f"{plain_size(most)}"
            )
        elif not running.is_ready() and self._clock() - running.since >= IMPORTED_WITHIN:
            running.failure = f"its modules are not imported after {IMPORTED_WITHIN:.0f} s"
            running.process.kill()
        if running.failure:
            # The job is about to prepare it: the next one has it.
            if running.process.poll() != NOT_PREPARED:
                self._fail(name, running.failure)
            self._end(name)

    def _fail(self, name: str, reason: str) -> None:
        self._failed[name] = self._clock() + TRIED_AGAIN
        log.warning(
            "jobs start without a warm interpreter",
            reason=reason,
            again_after=f"{TRIED_AGAIN:.0f}s",
        )

    def _end(self, name: str) -> None:
        running = self._running.pop(name)
        running.close()
        self._waiting = {key: wanted for key, wanted in self._waiting.items() if wanted != name}
        self._ending.append(running.process)
        self._clear(name)

    def _clear(self, name: str) -> None:
        """Remove its files: jobs may want another one each, and an agent runs for months."""
        with suppress(OSError):
            (self._folder / name).unlink(missing_ok=True)
        shutil.rmtree(self._folder / f"{name}{_ENTRANCE}", ignore_errors=True)

    def _make_room(self, now: float, most: int) -> None:
        """End those that were wanted longest ago, if there are too many."""
        self._failed = {name: until for name, until in self._failed.items() if until > now}
        while len(self._running) >= max(1, most):
            self._end(min(self._running, key=lambda name: self._running[name].wanted_at))


def _changed(folder: str) -> int:
    """When something was put into a folder last; 0: nobody can tell."""
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0
