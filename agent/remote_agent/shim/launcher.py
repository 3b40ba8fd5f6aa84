"""The launcher: keeps shims ready, replaces those that end, and ends the jobs of dead ones.

Processes only. Shims wait on one shared SEQPACKET socket, so the kernel gives each request to the
first that is free and no job has to wait for the launcher. It is small, and the parent of what a
dead shim leaves behind (a subreaper), so the death of a shim ends its job at once, whatever the job
forked. It lives as long as its agent or one of its shims does.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import time
from contextlib import suppress
from typing import Final

from remote_agent.processes import (
    become_subreaper,
    boot_id,
    kill_orphans,
    lower_descriptors,
    raise_descriptors,
    reset_signals,
)
from remote_agent.shim.held_inputs import HeldInputs
from remote_agent.shim.layout import KEEP_MARK
from remote_agent.shim.worker import Outcome, become_shim, log_line, serve

_RETIRE: Final = b'{"v":1,"retire":true}'
_LARGEST_MESSAGE: Final = 4096
_PENALTY: Final = 0.5
_SHORT_LIFE: Final = 1.0
_MOST_SHIMS: Final = 10_000
_OWN_FILES: Final = 64
"""Descriptors that inputs of jobs leave to the launcher: it reads /proc to kill."""


class Launcher:
    """Keeps as many shims as its agent wants. `control` brings `{"v":1,"shims":N}` datagrams."""

    def __init__(self, control: socket.socket, sender: socket.socket, requests: int) -> None:
        self._control = control
        self._sender: socket.socket | None = sender
        self._requests = requests
        self._boot = boot_id()
        self._wanted = 0
        self._retiring = 0
        self._shims: dict[int, float] = {}
        self._not_before = 0.0
        self._inputs = HeldInputs()
        self._descriptors: int | None = None
        """How many files its shims may open; None until the first one is made."""
        self._wake, self._woken = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._woken, False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until the agent is gone and no shim is left."""
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._control, select.POLLIN)
        poll.register(self._inputs, select.POLLIN)
        while self._sender is not None or self._shims:
            wait = None
            if self._sender is not None and len(self._shims) < self._wanted:
                wait = max(0.0, self._not_before - time.monotonic())
                if not wait:
                    self._grow()
                    continue
            for descriptor, _ in poll.poll(None if wait is None else wait * 1000 + 1):
                if descriptor == self._wake:
                    with suppress(BlockingIOError):
                        os.read(self._wake, 1024)
                elif descriptor == self._inputs.fileno():
                    self._inputs.take()
                elif not self._receive():
                    poll.unregister(self._control)
            self._reap()

    def _receive(self) -> bool:
        """Take how many shims the agent wants; False when the agent is gone."""
        data = self._control.recv(_LARGEST_MESSAGE)
        if not data:
            # The shims' socket only ends when nobody holds its other side any more.
            if self._sender is not None:
                self._sender.close()
            self._sender = None
            return False
        with suppress(ValueError, KeyError, TypeError):
            self._wanted = min(_MOST_SHIMS, max(0, int(json.loads(data)["shims"])))
            self._shrink()
        return True

    def _shrink(self) -> None:
        """Ask shims to go: those that are free take it first, in turn with the requests."""
        while self._sender is not None and len(self._shims) - self._retiring > self._wanted:
            try:
                self._sender.send(_RETIRE)
            except BlockingIOError:
                return
            self._retiring += 1

    def _grow(self) -> None:
        if self._descriptors is None:
            # Not before: the agent sets its limit when it has started it, and then says something.
            self._descriptors, most = raise_descriptors()
            self._inputs.most = max(0, most - _OWN_FILES) if most >= 0 else _MOST_SHIMS
        pid = os.fork()
        if pid:
            self._shims[pid] = time.monotonic()
            return
        code = int(Outcome.REPLACE)
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._wake)
            os.close(self._woken)
            self._control.close()
            if self._sender is not None:
                self._sender.close()
            os.setsid()
            lower_descriptors(self._descriptors)
            shim = become_shim(self._inputs.become_holder(), self._boot)
            code = int(serve(self._requests, shim))
        finally:
            os._exit(code)

    def _reap(self) -> None:
        """Note who has ended: shims, and orphans of shims that ended before."""
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                born = self._shims.pop(ended[0], None)
                if born is not None:
                    self._after(ended[0], ended[1], time.monotonic() - born)
                    self._inputs.drop(ended[0])

    def _after(self, pid: int, status: int, age: float) -> None:
        code = os.waitstatus_to_exitcode(status)
        if code == Outcome.DONE:
            self._retiring = max(0, self._retiring - 1)
        elif code not in (Outcome.REPLACE, Outcome.DETACHED, Outcome.USED):
            killed = kill_orphans(frozenset(self._shims), KEEP_MARK)
            log_line(f"shim {pid} died with status {code}; killed {killed} processes it left")
        if age < _SHORT_LIFE and code not in (Outcome.DONE, Outcome.DETACHED, Outcome.USED):
            self._not_before = time.monotonic() + _PENALTY


def _ignore(*_: object) -> None:
    """SIGCHLD only has to reach the wakeup descriptor."""


def main(control: int, sender: int, requests: int) -> None:
    """Be the launcher, with these three inherited sockets."""
    for descriptor in (control, sender, requests):
        os.set_inheritable(descriptor, False)
    os.chdir("/")
    # Here, for all its shims: they are as it is, and each would take a third of a millisecond.
    reset_signals()
    become_subreaper()
    sending = socket.socket(fileno=sender)
    sending.setblocking(False)
    launcher = Launcher(socket.socket(fileno=control), sending, requests)
    # Shims are forked from here: what is frozen stays shared, and none of them needs the collector.
    gc.collect()
    gc.freeze()
    gc.disable()
    launcher.run()
