"""Which program a job means, and the command line for it (Windows). Looks at the disk only.

CreateProcess would search the shim's own folders and PATH; a job's program is looked up in the
*job's* PATH, as on POSIX.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from remote_agent.processes.types import NOT_EXECUTABLE, NOT_FOUND, SpawnFailed

SCRIPT_ENDINGS: Final = ("", ".cmd", ".ps1")
"""What `script_name` may put after a name."""
_BINARIES: Final = (".COM", ".EXE")
_BATCHES: Final = (".BAT", ".CMD")
_EXTENSIONS: Final = (*_BINARIES, *_BATCHES)
_POWERSHELLS: Final = ("powershell", "pwsh")


def command_line(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> tuple[str, str]:
    """The program's file and the whole command line. SpawnFailed when there is no such program.

    A batch file is run by cmd.exe, as Windows does it.
    """
    program = find(argv[0], env, cwd)
    if os.path.splitext(program)[1].upper() not in _BATCHES:
        return program, subprocess.list2cmdline(argv)
    shell = env.get("COMSPEC") or os.path.join(env.get("SYSTEMROOT", ""), "System32", "cmd.exe")
    inner = subprocess.list2cmdline([program, *argv[1:]])
    return shell, f'"{shell}" /d /s /c "{inner}"'


def find(program: str, env: Mapping[str, str], cwd: str) -> str:
    """The file of a program: by its path, seen from `cwd`, or in the PATH of `env`."""
    if not os.path.isdir(cwd):
        raise SpawnFailed(
            f"the working directory {cwd!r} cannot be entered: there is none", NOT_EXECUTABLE
        )
    if any(mark in program for mark in "/\\:"):
        folders, where = [cwd], ""
    else:
        path = env.get("PATH", "")
        folders = [*filter(None, path.split(";"))]
        where = "; it is in no directory of the job's PATH"
    for folder in folders:
        stem = os.path.join(cwd, folder.strip('"'), program)
        for file in _candidates(stem):
            if os.path.isfile(file):
                return os.path.normpath(file)
        if os.path.isfile(stem):
            raise SpawnFailed(
                f"program {program!r} is not executable: its name ends in none of "
                f"{', '.join(_EXTENSIONS).lower()}; name the program that runs it",
                NOT_EXECUTABLE,
            )
    raise SpawnFailed(f"program {program!r} not found{where}", NOT_FOUND)


def _candidates(stem: str) -> Iterator[str]:
    if stem.upper().endswith(_EXTENSIONS):
        yield stem
    for extension in _EXTENSIONS:
        yield stem + extension


def script_name(shell: Sequence[str], name: str) -> str:
    """The name for a script's file, so that its shell takes it for a script."""
    known = _stem(shell)
    if known == "cmd":
        return f"{name}.cmd"
    return f"{name}.ps1" if known in _POWERSHELLS else name


def script_command(shell: Sequence[str], script: str) -> list[str]:
    """The command by which a shell runs a script's file."""
    known = _stem(shell)
    if known == "cmd":
        return [*shell, "/d", "/c", script]
    if known in _POWERSHELLS:
        silent = ["-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass"]
        return [*shell, *silent, "-File", script]
    return [*shell, script]


def _stem(shell: Sequence[str]) -> str:
    return os.path.basename(shell[0]).lower().removesuffix(".exe")


def split_shell(text: str) -> list[str]:
    """The words of a shell's command: backslashes belong to paths here, quotes hold words."""
    words, word, quoted = [], "", False
    for sign in text:
        if sign == '"':
            quoted = not quoted
        elif sign.isspace() and not quoted:
            words.append(word)
            word = ""
        else:
            word += sign
    return [word for word in (*words, word) if word]
