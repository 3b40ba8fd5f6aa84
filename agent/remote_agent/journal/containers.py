"""Containers of attempts that are over: found by their names and labels, killed and removed.

Calls the command line of the host's container engine. A shim removes the container of its attempt
itself; this is for those whose shim was killed, and for what an engine refused to remove.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

import structlog

from remote_agent.planning.engine import (
    INSTALLATION,
    Engine,
    client_environ,
    container_name,
    key_of,
)
from remote_agent.sections import ContainersPart
from remote_agent.values import ENGINES
from remote_protocol.attempt_id import AttemptId

log = structlog.get_logger("containers")

_REMOVAL: Final = 5.0
"""Seconds for which the agent waits for the removal of one container: its loop stands meanwhile,
and what takes longer is left to `sweep`."""
_LIST: Final = 10.0
FIRST: Final = 10.0
AGAIN: Final = 60.0
"""Seconds until containers that were left behind are looked for, and looked for again."""
_SOCKET: Final = "/var/run/docker.sock"


def find_engine(
    policy: ContainersPart, environ: Mapping[str, str], installation: str, separate: bool = False
) -> Engine | None:
    """The engine that jobs of this host get; None when there is none. Asks no engine anything:
    whether it works is said by the first job that needs it."""
    if not hasattr(os, "geteuid") or policy.engine == "off":
        return None
    found = policy.engine if policy.engine != "auto" else _look(environ)
    if found is None:
        return None
    return Engine(found, client_environ(environ), installation, policy, separate)


def _look(environ: Mapping[str, str]) -> str | None:
    for name in ENGINES:
        program = shutil.which(name, path=environ.get("PATH", os.defpath))
        if program is not None and (name != "docker" or _has_daemon(environ)):
            return program
    return None


def _has_daemon(environ: Mapping[str, str]) -> bool:
    """Whether a daemon listens, or is started by whoever calls it: the program alone is often
    installed without one."""
    url = urlsplit(environ.get("DOCKER_HOST") or f"unix://{_SOCKET}")
    if url.scheme != "unix":
        return True
    try:
        with socket.socket(socket.AF_UNIX) as end:  # type: ignore[attr-defined,unused-ignore]
            end.settimeout(1.0)
            end.connect(url.path)
    except PermissionError:
        # It is there: the first job says in words how it is opened to the agent.
        return True
    except OSError:
        return False
    return True


class Containers:
    """The containers of this agent. `engine` None: it has none."""

    def __init__(self, engine: Engine | None) -> None:
        self._engine = engine
        self.used = engine is not None
        """Whether there may be containers that nobody looks after."""

    def remove(self, key: AttemptId) -> str:
        """Kill and remove the container of an attempt whose shim is dead, if there is one. What is
        to be said of it, as the end of a sentence; empty when nothing is."""
        if self._engine is None:
            return "; its container could not be looked for: this agent has no engine any more"
        name = container_name(str(key))
        done, said = _call(
            [self._engine.program, "rm", "--force", "--volumes", name],
            self._engine.environ,
            _REMOVAL,
        )
        if done:
            return "" if _absent(said) else "; its container was killed and removed"
        if _absent(said):
            return ""
        self.used = True
        return f"; its container could not be removed yet: {_told(said)}"

    async def run(self, lives: Callable[[AttemptId], bool]) -> None:
        """Remove now and then what was left behind; ends by cancellation."""
        pause = FIRST
        while True:
            await asyncio.sleep(pause)
            try:
                await asyncio.to_thread(self.sweep, lives)
            except Exception:
                # Whatever an engine says, the agent and its other jobs go on.
                log.exception("the removal of old containers failed; trying again")
            pause = AGAIN

    def sweep(self, lives: Callable[[AttemptId], bool]) -> list[str]:
        """Remove every container of this installation whose attempt does not live; their names.
        Slow: call it in a thread."""
        engine = self._engine
        if engine is None or not self.used:
            return []
        chosen = f"label={INSTALLATION}={engine.installation}"
        done, said = _call(
            [
                engine.program,
                "ps",
                "--all",
                "--no-trunc",
                "--filter",
                chosen,
                "--format",
                "{{.Names}}",
            ],
            engine.environ,
            _LIST,
        )
        if not done:
            log.debug("containers cannot be listed; trying again", reason=_told(said))
            return []
        removed, left = [], False
        for line in said.splitlines():
            name = line.strip()
            attempt = _attempt(name)
            if attempt is None:
                continue
            if lives(attempt):
                left = True
                continue
            done, said = _call(
                [engine.program, "rm", "--force", "--volumes", name], engine.environ, _LIST
            )
            if done:
                removed.append(name)
                log.warning("a container that was left behind was removed", container=name)
            else:
                left = True
                log.warning(
                    "a container that was left behind cannot be removed; trying again",
                    container=name,
                    reason=_told(said),
                )
        self.used = left
        return removed


def _call(command: list[str], environ: Mapping[str, str], within: float) -> tuple[bool, str]:
    """Whether a call of the engine succeeded, and what it said."""
    # Loaded by the first call, with all that runs jobs: a start of the agent makes none.
    from remote_agent.shim.workload.client import call_now

    return call_now(command, environ, within)


def _told(said: str) -> str:
    """What went wrong, of all that an engine said."""
    from remote_agent.shim.workload.container_words import told

    return told(said)


def _absent(said: str) -> bool:
    return "no such container" in said.lower()


def _attempt(name: str) -> AttemptId | None:
    """Whose container this is. What engines print of labels differs; names are alike."""
    try:
        return AttemptId.parse(key_of(name))
    except ValueError:
        return None
