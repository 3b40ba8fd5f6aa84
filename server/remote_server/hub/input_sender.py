"""One link's sending of inputs: pieces are read when the socket has room for them, one at a time.

The session says what is next. There is a task only while something is to be sent, and one piece in
memory. May read input files and write to the link's socket.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import encode_input
from remote_server.domain.events import Event, InputChanged, InputGone, InputRead, InputSent
from remote_server.inputs import Input, InputStore, InputUnavailable


class Source(Protocol):
    """Who says what may be sent, and what now (the session)."""

    def reads(self, key: AttemptId) -> bool:
        """Whether the agent holds this attempt of a job that takes an input."""

    def next_input(self) -> tuple[AttemptId, int, int] | None:
        """Attempt, offset and length of the next piece; None when nothing may be sent."""


class InputSender:
    """Sends the inputs that one agent reads. `report` takes events for the session, `failed` what
    could not be read, `broke` what nobody foresaw; `send` writes a frame and waits for room."""

    def __init__(
        self,
        inputs: InputStore,
        send: Callable[[bytes], Awaitable[None]],
        report: Callable[[Event], None],
        failed: Callable[[AttemptId, InputUnavailable], None],
        broke: Callable[[BaseException], None],
    ) -> None:
        self._inputs = inputs
        self._send = send
        self._report = report
        self._failed = failed
        self._broke = broke
        self._jobs: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def read(self, source: Source, key: AttemptId, offset: int) -> None:
        """The agent wants an input from `offset` on."""
        size, ended = 0, False
        # Of a job that is not this agent's nothing is even looked up.
        if source.reads(key):
            kept = {job for job in self._jobs if self._inputs.look(job) is not None}
            self._jobs = kept | {key.job}
            size, ended = self._inputs.watch(key.job, self._changed)
        self._report(InputRead(key, offset, size, ended))

    def _changed(self, job: str, state: Input) -> None:
        self._report(InputChanged(job, state.size, state.ended))

    def wake(self, source: Source) -> None:
        """There are pieces to send."""
        # A task that has just found nothing to send may not have been told so yet.
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run(source))
            self._task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self._broke(error)

    async def _run(self, source: Source) -> None:
        while (piece := source.next_input()) is not None:
            key, offset, length = piece
            if self._inputs.look(key.job) is None:
                self._report(InputGone(key))
                continue
            try:
                data = self._inputs.read(key.job, offset, length)
            except InputUnavailable as error:
                self._failed(key, error)
                return
            await self._send(encode_input(key, offset, data))
            self._report(InputSent(key, length))
            # A piece that fits the socket's buffer awaits nothing: others get their turn here.
            await asyncio.sleep(0)

    def close(self) -> None:
        """The link is gone."""
        for job in self._jobs:
            self._inputs.unwatch(job, self._changed)
        self._jobs.clear()
