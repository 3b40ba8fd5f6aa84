"""Logs of attempts, and what happens to all jobs, as streams that survive broken links."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from remote_client.modes import method, stream
from remote_client.resources.base import Resource
from remote_protocol import cri
from remote_protocol.api.events import JobEvent
from remote_protocol.states import JobState


class LogMethods(Resource):
    """Calls about logs and events."""

    @method
    async def log(
        self, job: str, *, attempt: int | None = None, stream: str | None = None
    ) -> bytes:
        """The job's own bytes so far, of one stream or both, whole in memory."""
        only = None if stream is None else stream.encode()
        parts = []
        async with aclosing(self._pieces(job, attempt)) as pieces:
            async for piece in pieces:
                parts.append(cri.decode(piece, only))
        return b"".join(parts)

    @stream
    async def stored_log(
        self, job: str, *, attempt: int | None = None, offset: int = 0, follow: bool = False
    ) -> AsyncGenerator[bytes, None]:
        """Whole CRI records of an attempt's log from byte `offset` on, in large pieces.

        With `follow` it ends when the attempt has ended and everything has come. A broken link or
        a restarted server is bridged: it goes on at the byte where it broke.
        """
        async with aclosing(self._pieces(job, attempt, offset, follow)) as pieces:
            async for piece in pieces:
                yield piece

    @stream
    async def follow_log(
        self, job: str, *, attempt: int | None = None
    ) -> AsyncGenerator[cri.Record, None]:
        """The records of an attempt's log from the first on, live until the attempt has ended."""
        async with aclosing(self._pieces(job, attempt, follow=True)) as pieces:
            async for piece in pieces:
                for record in cri.records(piece):
                    yield record

    @stream
    async def events(
        self,
        after: int = 0,
        follow: bool = True,
        *,
        queues: Sequence[str] = (),
        states: Sequence[JobState] = (),
    ) -> AsyncGenerator[JobEvent, None]:
        """Every change of job state after `after`, of jobs in these queues and to these states
        (none given: any); with `follow` it goes on for ever.
        EventsLost when some are kept no longer: list the jobs, then go on after its `next`."""
        events = self._calls.events(after, follow, {"queue": queues, "state": states})
        async for event in events:
            yield self._view(JobEvent, event)

    def _pieces(
        self, job: str, attempt: int | None, offset: int = 0, follow: bool = False
    ) -> AsyncGenerator[bytes, None]:
        return self._calls.log(job, attempt=attempt, offset=offset, follow=follow).__aiter__()
