"""One loop: the agent's metrics to a collector of OpenTelemetry, as JSON over HTTP.

OTLP 1.x: https://opentelemetry.io/docs/specs/otlp/#otlphttp; collectors take JSON as well as
protobuf, and JSON needs no package. Touches the network, from a thread.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from typing import Any, Final

from remote_agent import __version__
from remote_agent.backoff import delay
from remote_agent.export import Read
from remote_agent.export.said import Said
from remote_protocol.faults import cause_of
from remote_protocol.metrics import Distribution, Family, Sample

TIMEOUT: Final = 5.0
"""Seconds for each step of one sending."""
_CUMULATIVE: Final = 2
_UNITS: Final = (("_seconds", "s"), ("_bytes", "By"))


class OtlpSender:
    """Sends to the collector at `url`, every `interval` seconds.

    Metrics that could not be sent are not sent later: the next ones say the same and more.
    """

    def __init__(
        self, url: str, ca_file: str | None, agent: str, read: Read, interval: float
    ) -> None:
        """`ca_file`: certificates that are trusted besides the system's; `agent`: the name under
        which the metrics appear."""
        self._url = f"{url.rstrip('/')}/v1/metrics"
        self._ca_file = ca_file
        self._agent = agent
        self._read = read
        self._interval = interval
        self._said = Said(f"otlp {url}")

    async def run(self) -> None:
        """Send until it is cancelled; less and less often while the collector does not take it."""
        begun = time.time()
        while True:
            wait = delay(self._said.failures, random.random()) if self._said.failures else 0.0
            await asyncio.sleep(self._interval + wait)
            said = request_of(self._read(), self._agent, begun, time.time())
            body = json.dumps(said, separators=(",", ":")).encode()
            try:
                await _in_thread(partial(self._post, body))
            except (OSError, HTTPException, ValueError) as error:
                self._said.failed(_words(error))
            else:
                self._said.sent()

    def _post(self, body: bytes) -> None:
        request = urllib.request.Request(
            self._url,
            data=body,
            headers={
                "Content-Type": "application/json",
                "User-Agent": f"remote-agent/{__version__}",
            },
        )
        opener = urllib.request.build_opener(_NoRedirects(), *self._tls())
        with opener.open(request, timeout=TIMEOUT) as answer:
            answer.read(1024)

    def _tls(self) -> list[urllib.request.BaseHandler]:
        if not self._url.startswith("https:"):
            return []
        context = ssl.create_default_context()
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return [urllib.request.HTTPSHandler(context=context)]


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *what: Any) -> None:
        """Nothing else is asked than what is configured."""


async def _in_thread(call: Callable[[], None]) -> None:
    """Carry out a call that blocks. The exit of the agent does not wait for it."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: Exception | None) -> None:
        if not done.done():  # else nobody waits any more
            done.set_exception(error) if error is not None else done.set_result(None)

    def work() -> None:
        error: Exception | None = None
        try:
            call()
        except Exception as failed:  # whatever it is, it belongs to who waits
            error = failed
        with suppress(RuntimeError):  # the loop is gone
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=work, name="otlp", daemon=True).start()
    await done


def request_of(
    families: Sequence[Family], agent: str, begun: float, now: float
) -> dict[str, object]:
    """An `ExportMetricsServiceRequest` in the protocol's JSON.

    `begun` is since when is counted, `now` when it was read (Unix seconds).
    """
    about = {
        "service.name": "remote-agent",
        "service.version": __version__,
        "service.instance.id": agent,
    }
    times = {"startTimeUnixNano": _nanoseconds(begun), "timeUnixNano": _nanoseconds(now)}
    metrics = [_metric(family, times) for family in families]
    scope = {"scope": {"name": "remote_agent", "version": __version__}, "metrics": metrics}
    return {
        "resourceMetrics": [
            {"resource": {"attributes": _attributes(about)}, "scopeMetrics": [scope]}
        ]
    }


def _metric(family: Family, times: dict[str, str]) -> dict[str, object]:
    points = [_point(family, sample, times) for sample in family.samples]
    unit = next((unit for ending, unit in _UNITS if ending in family.name), "1")
    shown: dict[str, object] = {"dataPoints": points}
    if family.kind == "counter":
        shown |= {"aggregationTemporality": _CUMULATIVE, "isMonotonic": True}
    kind = "sum" if family.kind == "counter" else "gauge"
    return {"name": family.name, "description": family.help, "unit": unit, kind: shown}


def _point(family: Family, sample: Sample, times: dict[str, str]) -> dict[str, object]:
    assert not isinstance(sample.value, Distribution)  # the agent has none
    labels = dict(zip(family.labels, sample.labels, strict=True))
    return {"attributes": _attributes(labels), **times, "asDouble": float(sample.value)}


def _attributes(labels: dict[str, str]) -> list[dict[str, object]]:
    return [{"key": key, "value": {"stringValue": value}} for key, value in labels.items()]


def _nanoseconds(seconds: float) -> str:
    return str(int(seconds * 1e9))  # as text: 64 bits are more than a JSON number holds


def _words(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        with error:
            return f"the collector answers {error.code} {error.reason}"
    return cause_of(error) or str(error)
