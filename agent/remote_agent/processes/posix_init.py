"""Process 1 of a container: keeps the agent running, waits for orphans, passes signals on.

The kernel gives process 1 every orphan of its container, and ends all others with it. So the agent
itself is not process 1: when it is killed its jobs live on, and the next one, which is started at
once, finds them. Forks, waits and sends signals; nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from typing import Final

_STOP: Final = frozenset((signal.SIGTERM, signal.SIGINT))
_PASSED: Final = _STOP | {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2}
_WATCHED: Final = _PASSED | {signal.SIGCHLD}
_SHORT_LIFE: Final = 10.0
"""Seconds that an agent lives at least unless something is wrong with it."""
_LONGEST_WAIT: Final = 30.0


def is_init() -> bool:
    """Whether this is process 1, as the first program of a container is."""
    return os.getpid() == 1


def interrupt_on_stop() -> None:
    """Have SIGTERM end this process as Ctrl-C does: process 1 gets only the signals it handles."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def keep_running() -> int | None:
    """Fork the agent, again whenever a signal has killed it. None in the agent; in this process its
    exit code, once it has exited by itself. A signal to stop reaches it also while it starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    stop: signal.Signals | None = None
    wait = 0.0
    while True:
        began = time.monotonic()
        agent = os.fork()
        if not agent:
            # A Ctrl-C at a terminal comes from process 1 only. The other signals stay blocked until
            # the agent handles them.
            os.setsid()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            return None
        if stop is not None:  # the agent before it was told so, and killed before it had obeyed
            os.kill(agent, stop)
        status, stop = _wait_for(agent, stop)
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return code
        wait = 0.0 if time.monotonic() - began > _SHORT_LIFE else min(_LONGEST_WAIT, wait * 2 + 1)
        when = f"in {wait:g} s" if wait else "now"
        words = (
            f"the agent was killed by signal {-code}; its jobs run on, the next one starts {when}"
        )
        print(f"remote-agent: {words}", file=sys.stderr, flush=True)
        _reap_for(wait)


def _wait_for(agent: int, stop: signal.Signals | None) -> tuple[int, signal.Signals | None]:
    """Its wait status, and the first signal to stop; signals go to it meanwhile."""
    while True:
        number = signal.Signals(signal.sigwait(_WATCHED))
        if number is signal.SIGCHLD:
            status = _reap(agent)
            if status is not None:
                return status, stop
            continue
        if number in _STOP:
            stop = stop or number
        with suppress(ProcessLookupError):
            os.kill(agent, number)


def _reap_for(seconds: float) -> None:
    """Wait so long. A signal ends that, and stays pending for the next agent."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and not signal.sigpending() & _PASSED:
        if signal.sigtimedwait({signal.SIGCHLD}, min(left, 0.2)):
            _reap(0)


def _reap(agent: int) -> int | None:
    """Wait for all that have ended; the status of the agent if it is among them."""
    found = None
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == agent:
                found = ended[1]
    return found
