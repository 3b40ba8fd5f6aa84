"""What jobs need that are forked from a warm interpreter: its socket, and their tree (Linux).

Such a job is no child of its shim. Its parent is a keeper, which is the subreaper of all that the
job starts: everything below the keeper is the job's. Elsewhere nothing forks jobs.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from remote_agent.processes.types import NOTHING_SWEPT, Swept, Usage

FORKS_JOBS = sys.platform == "linux"
"""Whether jobs can be forked here."""

if sys.platform == "linux":
    import os
    import signal

    from remote_agent.processes.linux import (
        _freeze_and_kill,
        _kill_group,
        _running,
        _stat,
        descendants,
        environ_of,
        kill_until_gone,
        start_time,
    )
    from remote_agent.processes.posix_files import Folder
    from remote_agent.processes.posix_users import pids

    def listen_for_jobs(folder: Path, name: str) -> socket.socket:
        """A socket that keeps messages whole, at a name in a folder, in place of a former one."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with Folder(folder) as opened:
                path = opened.near(name)
                with suppress(FileNotFoundError):
                    os.unlink(path)
                listener.bind(path)
                os.chmod(path, 0o600)
            listener.listen(128)
        except OSError:
            listener.close()
            raise
        return listener

    def ask_for_job(path: str, files: Sequence[int], timeout: float) -> socket.socket:
        """Connect to who listens there, and send these open files. OSError when nobody does."""
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            peer.settimeout(timeout)
            folder, _, name = path.rpartition("/")
            with Folder(folder) as opened:
                peer.connect(opened.near(name))
            socket.send_fds(peer, [b"{}"], list(files))
        except OSError:
            peer.close()
            raise
        return peer

    def slow_down(pid: int, nice: int) -> None:
        """Make a process nicer by so much."""
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + nice)

    def kill_forked(leader: int, keeper: int) -> None:
        """SIGKILL to the group of `leader` and to everything else below `keeper`, but not to that.
        `leader` must not have been reaped."""
        _kill_group(leader)
        _freeze_and_kill(lambda: _running(descendants(keeper)))

    def sweep_forked(keeper: int, limit: float = 5.0) -> Swept:
        """Kill everything below `keeper`, which reaps it; accounts for nothing."""
        killed, survivors = kill_until_gone(lambda: descendants(keeper), limit)
        return Swept(killed, 0.0, 0.0, survivors)

    def kill_session(leader: int, started: str, marks: Mapping[str, str]) -> int:
        """Kill what is in the session of a job that was forked, and has these marks of the process
        that it was forked from; how many. Nothing when another process has the number now."""
        wanted = {(name.encode(), value.encode()) for name, value in marks.items()}
        if start_time(leader) not in (None, started):
            return 0

        def find() -> list[int]:
            number = b"%d" % leader
            members = [pid for pid in pids() if (stat := _stat(pid)) and stat[3] == number]
            return [pid for pid in members if wanted <= environ_of(pid).items()]

        return kill_until_gone(find)[0]

    def forced_status() -> int:
        """The wait status of a job whose keeper was killed, and it with it."""
        return int(signal.SIGKILL)

else:

    def listen_for_jobs(folder: Path, name: str) -> socket.socket:
        """Nobody forks jobs here."""
        raise OSError("jobs are forked on Linux only")

    def ask_for_job(path: str, files: Sequence[int], timeout: float) -> socket.socket:
        """Nobody forks jobs here."""
        raise OSError("jobs are forked on Linux only")

    def slow_down(pid: int, nice: int) -> None:
        """Nobody forks jobs here."""

    def kill_forked(leader: int, keeper: int) -> None:
        """Nobody forks jobs here."""

    def sweep_forked(keeper: int, limit: float = 5.0) -> Swept:
        """Nobody forks jobs here."""
        return NOTHING_SWEPT

    def kill_session(leader: int, started: str, marks: Mapping[str, str]) -> int:
        """Nobody forks jobs here."""
        return 0

    def forced_status() -> int:
        """Nobody forks jobs here."""
        return 0


def usage_in(body: Mapping[str, object]) -> Usage:
    """What a keeper says that its job has used; zero for what makes no sense."""

    def number(name: str) -> float:
        value = body.get(name)
        return float(value) if isinstance(value, int | float) and value >= 0 else 0.0

    return Usage(number("cpu_user"), number("cpu_system"), int(number("max_rss")))
