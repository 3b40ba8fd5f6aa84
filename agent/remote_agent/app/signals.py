"""What makes a running agent stop or read its configuration again: signals, and the end of stdin.

May touch signal handlers, and stdin when a parent holds it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Final

import structlog

from remote_agent.errors import ConfigError
from remote_agent.processes import (
    WATCHES_PIPES,
    ignored_signals,
    reload_signals,
    stop_signals,
    unblock_signals,
)

log = structlog.get_logger("agent")

STDIN: Final = 0


class Signals:
    """Calls `stop` for each signal to stop, with True when stdin has ended instead, and `reload`
    for SIGHUP. `with_parent`: whoever holds stdin has started the agent."""

    def __init__(
        self, stop: Callable[[bool], None], reload: Callable[[], None], with_parent: bool
    ) -> None:
        self._stop = stop
        self._reload = reload
        self._with_parent = with_parent

    def listen(self) -> None:
        """Handle them from now on. ConfigError when stdin cannot be watched."""
        loop = asyncio.get_running_loop()
        for numbers, action in (
            (stop_signals(), lambda: self._stop(False)),
            (reload_signals(), self._reload),
            (ignored_signals(), _ignore),
        ):
            for number in numbers:
                _on_signal(loop, number, action)
        unblock_signals()  # not before: one that has come meanwhile is obeyed, too
        if self._with_parent:
            self._watch_stdin(loop)

    def _watch_stdin(self, loop: asyncio.AbstractEventLoop) -> None:
        if not WATCHES_PIPES:
            raise ConfigError("--with-parent is not supported on Windows; leave it out")
        try:
            loop.add_reader(STDIN, self._read_stdin)
        except PermissionError:
            raise ConfigError("--with-parent needs a pipe at stdin, held by a parent") from None

    def _read_stdin(self) -> None:
        """Stdin has something to read: its end means that the parent is gone."""
        if not os.read(STDIN, 4096):
            asyncio.get_running_loop().remove_reader(STDIN)
            self._stop(True)


def _ignore() -> None:
    log.info("a signal was ignored; TERM stops, HUP reads the configuration again")


def _on_signal(loop: asyncio.AbstractEventLoop, number: int, action: Callable[[], None]) -> None:
    try:
        loop.add_signal_handler(number, action)
    except NotImplementedError:
        # Windows: the handler runs when the loop wakes up, within a tick.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(action))
