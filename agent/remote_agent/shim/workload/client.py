"""One call of a container engine's client: a process, with what it says kept apart from the job's
output. Processes, and files without a name.

What a container gets of its environment is never in a command line, which every user of the host
could read: it goes through a file in memory, and what such a file cannot hold through the client's
own environment.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Final

from remote_agent.processes import (
    NOTHING_USED,
    ExitStatus,
    SpawnFailed,
    exit_status,
    memory_file,
    spawn,
    watch_exit,
)

NOT_EXECUTABLE: Final = 126
_MOST_SAID: Final = 16 * 1024
_LONGEST_LINE: Final = 32 * 1024
"""Characters of a line that every client reads (bufio.Scanner of Go takes 64 KiB)."""
_ROOT: Final = "/"
_OF_CLIENTS: Final = (
    *("PATH", "HOME", "TMP", "LD_", "GLIBC", "GCONV", "MALLOC", "GO", "XDG_", "DBUS_", "LISTEN_"),
    *("DOCKER", "PODMAN", "CONTAINER", "BUILD", "COMPOSE", "STORAGE_", "REGISTRY_", "OTEL_"),
    *("HTTP", "FTP", "ALL_PROXY", "NO_PROXY", "SSL_", "NOTIFY_", "RES_", "HOSTALIASES", "USER"),
)
"""What names of variables begin with that a client, or the system's libraries in it, obey."""
_AGAIN: Final = 'n=0; until "$@"; do n=$((n+1)); [ "$n" -lt 20 ] || exit 1; sleep 0.5; done'
"""Calls its arguments until that succeeds, for ten seconds: an engine may be restarted."""


def again(command: Sequence[str]) -> list[str]:
    """The command, tried again while it fails."""
    return ["/bin/sh", "-c", _AGAIN, "sh", *command]


class Call:
    """A client at work. `pid` is its process; SpawnFailed when there is no such program."""

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        output: tuple[int, int] | None = None,
        stdin: int | None = None,
    ) -> None:
        """`output`: where it writes; None: to be `said`."""
        self._said: IO[bytes] | None = None
        self.usage = NOTHING_USED
        if output is None:
            # Only then: what it imports would be in the memory of all shims.
            import tempfile

            self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
            output = (self._said.fileno(), self._said.fileno())
        try:
            self.pid = spawn(command, env, _ROOT, output, stdin=stdin)
        except SpawnFailed as failure:
            self.close()
            raise SpawnFailed(
                f"the container engine cannot be called: {failure}; install it again, or name "
                "another one in [containers] engine",
                NOT_EXECUTABLE,
            ) from failure
        self._watch = watch_exit(self.pid)

    def waitable(self) -> int:
        """Ready when it may have ended."""
        return self._watch.waitable()

    def reap(self) -> ExitStatus | None:
        """How it has ended; None when it still runs."""
        ended = self._watch.reap()
        if ended is None:
            return None
        status, self.usage = ended
        return exit_status(status)

    def said(self) -> str:
        """The end of what it has said."""
        if self._said is None:
            return ""
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - _MOST_SAID))
        return self._said.read(_MOST_SAID).decode(errors="replace")

    def close(self) -> None:
        """Give everything back."""
        if self._said is not None:
            self._said.close()
        watch = getattr(self, "_watch", None)
        if watch is not None:
            watch.close()


def call_now(command: Sequence[str], env: Mapping[str, str], limit: float) -> tuple[bool, str]:
    """Call a client and wait for its end, for so many seconds at the most; whether it succeeded,
    and the end of what it said."""
    try:
        done = subprocess.run(
            list(command),
            env=dict(env),
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=limit,
            check=False,
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        return False, f"the engine has not answered within {limit:g} s"
    except (OSError, ValueError) as error:
        return False, f"its client cannot be called: {getattr(error, 'strerror', None) or error}"
    return done.returncode == 0, done.stdout[-_MOST_SAID:].decode(errors="replace")


class ContainerEnvironment:
    """How variables reach a container. SpawnFailed for one that cannot."""

    def __init__(self, env: Mapping[str, str]) -> None:
        lines: list[str] = []
        self.passed: dict[str, str] = {}
        """What the client has to have in its own environment."""
        for name, value in env.items():
            if len(name) + len(value) < _LONGEST_LINE and "\n" not in value and "\r" not in value:
                lines.append(f"{name}={value}\n")
            elif name.upper().startswith(_OF_CLIENTS):
                raise SpawnFailed(
                    f"the variable {name} cannot be given to a container with a value of several "
                    "lines or of more than 32 KiB: the engine's own client would obey it; send "
                    "the value in a file",
                    NOT_EXECUTABLE,
                )
            else:
                self.passed[name] = value
        self._file = "".join(lines).encode()

    @property
    def words(self) -> list[str]:
        """Words of the command line, which name no value."""
        found = ["--env-file=/dev/stdin"]
        return found + [f"--env={name}" for name in self.passed]

    def file(self) -> int:
        """A descriptor of the file in memory that is the client's standard input."""
        return memory_file(self._file)


def close_all(ends: Sequence[int | None]) -> None:
    """Close these descriptors, each once."""
    for end in {end for end in ends if end is not None}:
        with suppress(OSError):
            os.close(end)
