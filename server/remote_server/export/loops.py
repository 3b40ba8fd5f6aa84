"""The loops that send: metrics at each interval, spans of jobs soon after their end.

What cannot be sent is lost, and said once until it can be again: neither a job nor a page waits for
a collector.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import structlog

import remote_server
from remote_protocol.metrics import Family
from remote_server.config import Address, TelemetryPart
from remote_server.domain.change_set import ChangeSet
from remote_server.errors import ServerError
from remote_server.export.statsd import Statsd
from remote_server.export.traces import EndedJobs
from remote_server.store import Store

if TYPE_CHECKING:
    from remote_server.export.otlp import Otlp

SOON: Final = 1.0
"""Seconds between the end of a job and the sending of its spans, with others'."""
_AT_ONCE: Final = 40
"""Datagrams between two pauses: the receiver's buffer is small."""
_log = structlog.get_logger("remote_server.export")
Read = Callable[[], Awaitable[Sequence[Family]]]
Loop = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Export:
    """What is sent, if anything is."""

    loops: Mapping[str, Loop] = field(default_factory=dict)
    committed: Callable[[ChangeSet], None] | None = None
    """Has to hear of commits; None: nothing does."""


def exports(wanted: TelemetryPart, read: Read, store: Store) -> Export:
    """What `[telemetry]` asks for. ServerError when a package is missing for it."""
    loops: dict[str, Loop] = {}
    if wanted.statsd is not None:
        loops["statsd"] = _StatsdLoop(wanted.statsd, read, wanted.interval).run
    if wanted.otlp is None:
        return Export(loops)
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise ServerError(
            "[telemetry] otlp needs packages that are not installed:"
            " pip install 'remote-server[otlp]'"
        )
    jobs = EndedJobs(store)
    loops["otlp"] = _OtlpLoop(wanted.otlp, read, jobs, wanted.interval).run
    return Export(loops, jobs.committed)


class _Said:
    """Says that something cannot be sent once, until it can be."""

    def __init__(self, to: str) -> None:
        self._to = to
        self._failing = False

    def result(self, failure: str) -> None:
        """How it went; an empty text: it was sent."""
        if failure and not self._failing:
            _log.warning("metrics or traces cannot be sent; going on", to=self._to, reason=failure)
        elif not failure and self._failing:
            _log.info("metrics and traces are sent again", to=self._to)
        self._failing = bool(failure)


class _StatsdLoop:
    def __init__(self, address: Address, read: Read, interval: float) -> None:
        self._address = address
        self._read = read
        self._interval = interval
        self._said = _Said(f"statsd {address}")

    async def run(self) -> None:
        statsd, loop = Statsd(), asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._interval)
            try:
                found = await loop.getaddrinfo(*self._address, type=socket.SOCK_DGRAM)
                family, kind, _, _, address = found[0]
                with socket.socket(family, kind) as sender:
                    sender.setblocking(False)
                    datagrams = statsd.datagrams(await self._read())
                    for number, datagram in enumerate(datagrams, 1):
                        with suppress(BlockingIOError):
                            sender.sendto(datagram, address)
                        if not number % _AT_ONCE:
                            await asyncio.sleep(0.01)
            except (OSError, ServerError) as error:
                self._said.result(str(error))
            else:
                self._said.result("")


class _OtlpLoop:
    def __init__(self, url: str, read: Read, jobs: EndedJobs, interval: float) -> None:
        self._url = url
        self._read = read
        self._jobs = jobs
        self._interval = interval
        self._said = _Said(f"otlp {url}")

    async def run(self) -> None:
        otlp = await asyncio.to_thread(_open, self._url)
        due = time.monotonic() + self._interval
        try:
            while True:
                await asyncio.sleep(SOON)
                while self._jobs:
                    if not await self._send_spans(otlp):
                        break
                if time.monotonic() >= due:
                    due = time.monotonic() + self._interval
                    await self._send_metrics(otlp)
        finally:
            otlp.close()

    async def _send_spans(self, otlp: Otlp) -> bool:
        try:
            traces = await self._jobs.take()
        except ServerError as error:
            self._said.result(str(error))
            return False
        if not traces:
            return True
        sent = await self._try(otlp.send_spans, traces)
        if sent:
            self._jobs.sent += len(traces)
        else:
            self._jobs.dropped += len(traces)
        return sent

    async def _send_metrics(self, otlp: Otlp) -> None:
        try:
            families = [*await self._read(), *self._jobs.families()]
        except ServerError as error:
            self._said.result(str(error))
        else:
            await self._try(otlp.send_metrics, families, time.time())

    async def _try(self, send: Callable[..., bool], *what: object) -> bool:
        try:
            sent = await asyncio.to_thread(send, *what)
        except Exception as error:  # the packages say not which
            self._said.result(str(error) or type(error).__name__)
            return False
        self._said.result("" if sent else "the collector does not take them")
        return sent


def _open(url: str) -> Otlp:
    # Imported only here: it takes a third of a second, and its packages may not be there.
    from remote_server.export.otlp import Otlp

    return Otlp(url, remote_server.__version__, time.time())
