"""The loops that send: metrics at each interval, spans of jobs soon after they were made.

Neither a job nor a page waits for a collector. One that is away is asked less and less often, and
said once until it takes what it gets again.
"""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import structlog

import remote_server
from remote_protocol.metrics import Family
from remote_protocol.statsd import Statsd
from remote_server.config import TelemetryPart
from remote_server.errors import ServerError
from remote_server.export.backoff import Backoff
from remote_server.export.traces import BATCH, PendingSpans
from remote_server.setting_values import Address

if TYPE_CHECKING:
    from remote_server.export.otlp import OtlpMetrics, OtlpSpans

SOON: Final = 1.0
"""Seconds for which spans wait for others, to be sent with them."""
MOST_TRIES: Final = 8
"""Of one batch of spans: a collector may be away for some minutes, but one that refuses a batch for
what is in it must not keep the others from being sent."""
_AT_ONCE: Final = 40
"""Datagrams between two pauses: the receiver's buffer is small."""
_log = structlog.get_logger("remote_server.export")
Read = Callable[[], Awaitable[Sequence[Family]]]
Loop = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Export:
    """What is sent, if anything is."""

    loops: Mapping[str, Loop] = field(default_factory=dict)


def exports(wanted: TelemetryPart, read: Read, spans: PendingSpans | None) -> Export:
    """What `[telemetry]` asks for; `spans` for OTLP. ServerError when a package is missing."""
    loops: dict[str, Loop] = {}
    if wanted.statsd is not None:
        loops["statsd"] = _StatsdLoop(wanted.statsd, read, wanted.interval).run
    if wanted.otlp is not None and spans is not None:
        _require_packages()
        loops["otlp metrics"] = _MetricsLoop(wanted.otlp, read, wanted.interval).run
        loops["otlp spans"] = _SpansLoop(wanted.otlp, spans).run
    return Export(loops)


def _require_packages() -> None:
    with suppress(ModuleNotFoundError):  # of a package above it
        if find_spec("opentelemetry.exporter.otlp.proto.http") is not None:
            return
    raise ServerError(
        "[telemetry] otlp needs packages that are not installed: pip install 'remote-server[otlp]'"
    )


class _Said:
    """Says that something cannot be sent once, until it can be."""

    def __init__(self, to: str) -> None:
        self._to = to
        self._failing = False

    def result(self, failure: str) -> None:
        """How it went; an empty text: it was sent."""
        if failure and not self._failing:
            _log.warning("telemetry cannot be sent; going on", to=self._to, reason=failure)
        elif not failure and self._failing:
            _log.info("telemetry is sent again", to=self._to)
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


class _Collector:
    """Sends by blocking calls in a thread of its own: one that waits for a collector takes none
    from those who read logs."""

    def __init__(self, signal: str, url: str, make: Callable[[str], OtlpMetrics | OtlpSpans]):
        self._url = url
        self._make = make
        self._sender: OtlpMetrics | OtlpSpans | None = None
        self._said = _Said(f"otlp {signal} {url}")
        self._thread = ThreadPoolExecutor(1, f"otlp-{signal}")
        self.backoff = Backoff(SOON, random.random)

    async def send(self, *what: Any) -> bool:
        """Whether the collector has it. Nothing is raised for what is wrong with the collector."""
        try:
            failure = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._send, *what
            )
        except Exception as error:  # the packages do not say which
            failure = str(error) or type(error).__name__
        self.failed(failure)
        return not failure

    def failed(self, failure: str) -> None:
        """How it went; an empty text: it was sent."""
        self._said.result(failure)
        self.backoff.result(not failure)

    def close(self) -> None:
        """Let go; a call that waits for its answer ends by its timeout."""
        if self._sender is not None:
            self._sender.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _send(self, *what: Any) -> str:
        if self._sender is None:
            self._sender = self._make(self._url)
        return self._sender.send(*what)


class _MetricsLoop:
    """Metrics that could not be sent are not sent later: the next ones say the same and more."""

    def __init__(self, url: str, read: Read, interval: float) -> None:
        self._read = read
        self._interval = interval
        begun = time.time()
        self._collector = _Collector("metrics", url, lambda to: _metrics(to, begun))

    async def run(self) -> None:
        collector = self._collector
        try:
            while True:
                await asyncio.sleep(max(self._interval, collector.backoff.pause))
                try:
                    families = await self._read()
                except ServerError as error:
                    collector.failed(str(error))
                else:
                    await collector.send(families, time.time())
        finally:
            collector.close()


class _SpansLoop:
    def __init__(self, url: str, spans: PendingSpans) -> None:
        self._spans = spans
        self._collector = _Collector("spans", url, _spans)

    async def run(self) -> None:
        collector, spans = self._collector, self._spans
        try:
            while True:
                await asyncio.sleep(self._pause())
                try:
                    batch = await spans.take()
                except ServerError as error:
                    collector.failed(str(error))
                    continue
                tries = 1
                while batch and not await collector.send(batch):
                    if tries >= MOST_TRIES:
                        spans.dropped += len(batch)
                        break
                    tries += 1
                    await asyncio.sleep(collector.backoff.pause)
                else:
                    spans.sent += len(batch)
        finally:
            collector.close()

    def _pause(self) -> float:
        if self._collector.backoff.pause:
            return self._collector.backoff.pause
        return 0 if len(self._spans) >= BATCH else SOON


def _metrics(url: str, begun: float) -> OtlpMetrics:
    # Imported only here: it takes a third of a second, and its packages may not be there.
    from remote_server.export.otlp import OtlpMetrics

    return OtlpMetrics(url, remote_server.__version__, begun)


def _spans(url: str) -> OtlpSpans:
    from remote_server.export.otlp import OtlpSpans

    return OtlpSpans(url, remote_server.__version__)
