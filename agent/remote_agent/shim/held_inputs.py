"""Keeps a job from taking the death of its shim for the end of its input. Sockets and pipes only.

A pipe is at its end when nobody has its writing end any more (pipe(7)). So the launcher has that of
each job's input, too, until the shim says that the input is complete: when a shim dies, its job
waits for more until the launcher has killed it, and never takes a part for the whole.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import Final

from remote_agent.processes import receive_descriptor, send_descriptor, sequenced_pair

_LARGEST: Final = 64


class InputHolder:
    """A shim's side: whose input the launcher keeps open. One job at a time."""

    def __init__(self, launcher: socket.socket) -> None:
        self._launcher = launcher

    def hold(self, pipe: int) -> None:
        """Have the launcher keep the writing end `pipe` open; nothing when it is gone."""
        with suppress(OSError):
            send_descriptor(self._launcher, b"%d" % os.getpid(), pipe)

    def release(self) -> None:
        """The input is complete, or nobody reads it: the launcher lets go of it. Waits for a
        launcher that is busy, for without it the job would wait for ever."""
        with suppress(OSError):
            self._launcher.send(b"%d" % os.getpid())


class HeldInputs:
    """The launcher's side: the writing ends of its shims' jobs' inputs, each by its shim. At most
    `most` of them: it must be able to open files of its own."""

    def __init__(self) -> None:
        pair = sequenced_pair()
        if pair is None:
            raise OSError("this system has no sockets for a launcher")
        self._receiving, self._sending = pair
        self._receiving.setblocking(False)
        self._sending.setblocking(True)
        self._held: dict[int, int] = {}
        self.most = 0

    def fileno(self) -> int:
        """What becomes readable when a shim says something."""
        return self._receiving.fileno()

    def become_holder(self) -> InputHolder:
        """In a shim that was just forked: its side; it must not keep what is not its own."""
        self._forget()
        return InputHolder(self._sending)

    def take(self) -> None:
        """Do what shims have said by now."""
        with suppress(BlockingIOError):
            while True:
                data, pipe = receive_descriptor(self._receiving, _LARGEST)
                shim = int(data)
                self._close(shim)
                if pipe is None:
                    continue
                if len(self._held) < self.most:
                    self._held[shim] = pipe
                else:
                    os.close(pipe)

    def drop(self, shim: int) -> None:
        """This shim has ended, and nothing of its job is alive: let go of what it said last."""
        self.take()
        self._close(shim)

    def close(self) -> None:
        """Let go of everything."""
        self._forget()
        self._sending.close()

    def _forget(self) -> None:
        self._receiving.close()
        for pipe in self._held.values():
            os.close(pipe)
        self._held.clear()

    def _close(self, shim: int) -> None:
        held = self._held.pop(shim, None)
        if held is not None:
            os.close(held)
