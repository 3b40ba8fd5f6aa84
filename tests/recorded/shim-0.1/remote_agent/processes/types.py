"""What every platform says in the same words: how a job could not start, and how it ended. Pure."""

from __future__ import annotations

from errno import EDQUOT, EINVAL, EIO, EMFILE, ENFILE, ENOBUFS, ENOMEM, ENOSPC, EROFS
from typing import Final, NamedTuple

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


class Swept(NamedTuple):
    """What was left of a tree: CPU seconds of what was reaped, how many could not be killed."""

    killed: int
    cpu_user: float
    cpu_system: float
    survivors: int


class ExitStatus(NamedTuple):
    """How a process ended: the exit code to show, a few words, and whether it was ended from
    outside (a signal, a crash) instead of by itself."""

    code: int
    words: str
    forced: bool


class HostFacts(NamedTuple):
    """What the host is, for people to read."""

    system: str
    release: str
    machine: str
    hostname: str
