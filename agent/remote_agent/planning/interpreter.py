"""Keeps a Python with modules imported, and forks it for each job: a warm interpreter's program.

    python3 -u interpreter.py LISTENER CONTROL MODULE...

It runs by the Python of the jobs and as their user. So it is for any Python from 3.8 on, uses the
standard library only, and nothing of this package but `keeper.py`, of which a copy lies beside its
own. Two inherited sockets: on LISTENER shims ask for a job each, over CONTROL the agent hears what
became of the modules; when that one closes, no more jobs are taken, and the process ends with its
last job.

It has one thread, and reads nothing of any job: for each caller it forks a *keeper*, which reads
the request and forks the *job*. The keeper is the job's parent and the subreaper of all that it
starts: it tells the shim how the job ended, and kills everything when the shim dies. What a dead
keeper leaves is killed here. So a job can write nothing that the next one would find.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import json
import os
import select
import signal
import socket
import stat
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from remote_agent.planning import keeper
else:
    import keeper

_LEFT_ALONE = {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}
"""Signals that nobody can ignore, and those that every Python ignores."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


def main(arguments: list[str]) -> keeper.Job:
    """Import the modules, then serve; returns in a forked process only, with what it is to run."""
    listener, control = (socket.socket(fileno=int(number)) for number in arguments[:2])
    # Neither the folder nor the name: jobs may have a module that is called so.
    del sys.path[0], sys.modules["keeper"]
    sys.argv[:] = [""]
    for number in signal.valid_signals() - _LEFT_ALONE:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    keeper.prctl(keeper.PR_SET_CHILD_SUBREAPER, 1)
    # Other processes of this user, such as jobs, cannot look into this one or change it.
    keeper.prctl(keeper.PR_SET_DUMPABLE, 0)
    before = keeper.open_files()
    for name in arguments[2:]:
        try:
            importlib.import_module(name)
        except BaseException as error:
            fail(control, f"the module {name} cannot be imported: {type(error).__name__}: {error}")
    opened = keeper.open_files() - before
    if len(os.listdir("/proc/self/task")) > 1:
        fail(control, "its modules start threads when they are imported, which no fork survives")
    if any(os.readlink(f"/proc/self/fd/{file}").startswith("socket:") for file in opened):
        fail(control, "its modules open connections when they are imported, which all would share")
    gc.collect()
    gc.freeze()
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[1]) * _PAGE
    control.send(json.dumps({"ready": True, "size": size, "folders": package_folders()}).encode())
    job = Interpreter(listener, control, opened).serve()
    for descriptor in opened:
        own_offset(descriptor)
    return job


def fail(control: socket.socket, why: str) -> NoReturn:
    """Say why no job can be forked, and exit."""
    control.send(json.dumps({"failed": why[:2000]}).encode())
    sys.exit(1)


def own_offset(file: int) -> None:
    """Open a module's file again, for this job: with the interpreter's own, what one job reads
    would be gone for the next, and two at a time would read from each other's places."""
    with suppress(OSError):
        if stat.S_ISREG(os.fstat(file).st_mode):
            flags = fcntl.fcntl(file, fcntl.F_GETFL) & (os.O_ACCMODE | os.O_APPEND)
            mine = os.open(f"/proc/self/fd/{file}", flags)
            os.lseek(mine, os.lseek(file, 0, os.SEEK_CUR), os.SEEK_SET)
            os.dup2(mine, file, os.get_inheritable(file))
            os.close(mine)


def package_folders() -> list[str]:
    """Folders whose change means that another version of a package may be there."""
    return [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))][:8]


class Interpreter:
    """Forks a keeper for each caller. `opened` are the files that modules have open."""

    def __init__(self, listener: socket.socket, control: socket.socket, opened: set[int]) -> None:
        self._listener, self._control, self._opened = listener, control, opened
        self._keepers: set[int] = set()
        self._wake, self._former = keeper.watch_children()

    def serve(self) -> keeper.Job:
        """Serve until the agent is gone and no keeper is left; returns in a job's process."""
        poll = select.poll()
        self._listener.setblocking(False)
        for source in (self._listener.fileno(), self._control.fileno(), self._wake):
            poll.register(source, select.POLLIN)
        listening = True
        while listening or self._keepers:
            for source, _ in poll.poll():
                if source == self._wake:
                    keeper.drain(self._wake)
                elif source == self._control.fileno():
                    poll.unregister(source)
                    poll.unregister(self._listener.fileno())
                    # What has not been taken by now finds nobody, and starts in another way.
                    self._listener.close()
                    listening = False
                    break
                else:
                    with suppress(OSError):
                        caller, _ = self._listener.accept()
                        job = self._fork(caller)
                        if job is not None:
                            return job
                        caller.close()
            self._reap()
        os._exit(0)

    def _fork(self, caller: socket.socket) -> keeper.Job | None:
        pid = os.fork()
        if pid:
            self._keepers.add(pid)
            return None
        try:
            self._listener.close()
            self._control.close()
            return keeper.Keeper(caller, self._opened, self._former).keep()
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if pid in self._keepers:
                    self._keepers.remove(pid)
                    if status:
                        keeper.kill_below(os.getpid(), self._keepers)


if __name__ == "__main__":
    main(sys.argv[1:]).run()
