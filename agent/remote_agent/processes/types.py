"""What every platform says in the same words: how a job could not start, and how it ended. Pure."""

from __future__ import annotations

from errno import EDQUOT, EINVAL, EIO, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC, EROFS
from pathlib import Path
from typing import Final, NamedTuple, Protocol

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
"""Exit codes for a program that could not be started, as POSIX shells use them (XCU 2.8.2)."""


SCARCE: Final = frozenset({EMFILE, ENFILE, ENOMEM, ENOBUFS})
"""Errors that say nothing about a file: the host is short of descriptors or memory, for now."""
HOST_FAULTS: Final = SCARCE | {ENOSPC, EDQUOT, EIO, EROFS}
"""Errors for which no job can be blamed."""


class SpawnFailed(Exception):
    """The job's program could not be started; `exit_code` is 126 or 127, the text a sentence."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


_BUILTINS: Final = frozenset(
    {"cd", "source", ".", "export", "set", "unset", "ulimit", "alias", "exec", "eval", "trap"}
)
_SHELL: Final = "for shell syntax use a shell, as remotectl run --shell bash -- '…' does"


def not_found_cure(program: str) -> str:
    """What helps when a program is not found; empty for one that is named by its whole path."""
    if program in _BUILTINS:
        return f"it is a part of shells, no program; {_SHELL}"
    if any(character in program for character in " \t\n|&;<>$"):
        return f"the command is one program with its arguments apart; {_SHELL}"
    if program.startswith("/"):
        return ""
    if "/" in program:
        name = program.removeprefix("./")
        return f"it is not in the job's work directory; send it with --file {name}"
    return "it is in no directory of the job's PATH"


class UnexpectedEntry(OSError):
    """A name in a folder of ours stands for something that we did not make: a directory, a link, a
    FIFO, a file with a second name. `strerror` says what, `filename` which."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(EINVAL, what, name)


class FileBelow(NamedTuple):
    """Something below a folder: its relative name with slashes, its size, and what is odd about it:
    an empty text for a plain file, None for a folder."""

    name: str
    size: int
    odd: str | None


class Account(NamedTuple):
    """Whom a job's processes belong to. `groups` are the supplementary ones."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    """Empty: the job's own directory."""
    shell: str


class Usage(NamedTuple):
    """What a job's main process has used: CPU seconds, and its largest resident size in bytes."""

    cpu_user: float
    cpu_system: float
    max_rss: int


NOTHING_USED: Final = Usage(0.0, 0.0, 0)


class Swept(NamedTuple):
    """What was left of a tree: CPU seconds of what was reaped, how many could not be killed."""

    killed: int
    cpu_user: float
    cpu_system: float
    survivors: int


NOTHING_SWEPT: Final = Swept(0, 0.0, 0.0, 0)
"""After most jobs."""


class ExitStatus(NamedTuple):
    """How a process ended: the exit code to show, a few words, and whether it was ended from
    outside (a signal, a crash) instead of by itself."""

    code: int
    words: str
    forced: bool
    reason: str = ""
    """The end reason, where the code alone does not tell it."""


class HostFacts(NamedTuple):
    """What the host is, for people to read."""

    system: str
    release: str
    machine: str
    hostname: str


class ServiceSettings(NamedTuple):
    """What the service control manager of Windows is to know of a service."""

    command: str
    """Its command line, quoted."""
    account: str
    password: str | None
    """None for accounts that have none."""
    description: str


class ServiceRecord(NamedTuple):
    """What the service control manager of Windows knows of a service."""

    state: str
    """`stopped`, `starting`, `stopping`, `running`."""
    pid: int
    exit_code: int
    """Of its last process; 0 when it was never started."""
    command: str
    account: str
    automatic: bool
    """Whether it starts with the host."""


class ServiceControl(Protocol):
    """The service control manager of Windows. Everything raises OSError."""

    def allowed(self) -> bool:
        """Whether this process may change services."""

    def query(self, name: str) -> ServiceRecord | None:
        """A service; None for none."""

    def install(self, name: str, settings: ServiceSettings) -> None:
        """Make a service or change it: it starts with the host, and again whenever it fails."""

    def start(self, name: str) -> None:
        """Start it; nothing when it runs."""

    def stop(self, name: str, timeout: float) -> None:
        """Stop it and wait for its end; nothing when it does not run. TimeoutError."""

    def delete(self, name: str) -> bool:
        """Remove it; False for none. It has been stopped."""

    def protect(self, folder: Path, account: str, write: bool) -> None:
        """Have a folder, and all that is made in it, be open to the system, to administrators and
        to this account, for writing too if `write`, and to nobody else."""
