"""Counters and histograms: what is counted while the server runs. No I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from remote_protocol.metrics import Distribution, Family, Sample

REQUEST_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5)
DISPATCH_BUCKETS: Final = (0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 300)
WAIT_BUCKETS: Final = (0.005, 0.02, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400, 86400)


class Counter:
    """A number that only grows, one for each combination of label values."""

    def __init__(self, name: str, help_text: str, labels: tuple[str, ...] = ()) -> None:
        self._name, self._help, self._labels = name, help_text, labels
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def add(self, amount: float = 1.0, *values: str) -> None:
        """Count `amount` more."""
        self._values[values] = self._values.get(values, 0.0) + amount

    def family(self, first: Collection[str] | None = None) -> Family:
        """What was counted; with `first`, of those values of the first label only."""
        samples = [Sample(*item) for item in self._values.items() if _among(item[0], first)]
        return Family(self._name, "counter", self._help, self._labels, samples)


class Histogram:
    """How observations spread over fixed buckets, in seconds."""

    def __init__(
        self,
        name: str,
        help_text: str,
        buckets: tuple[float, ...],
        labels: tuple[str, ...] = (),
    ) -> None:
        self._name, self._help, self._buckets, self._labels = name, help_text, buckets, labels
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        if not labels:
            self._begin(())

    def observe(self, seconds: float, *values: str) -> None:
        """Count one observation."""
        counts = self._counts.get(values)
        if counts is None:
            counts = self._begin(values)
        counts[bisect_left(self._buckets, seconds)] += 1
        self._sums[values] += seconds

    def family(self, first: Collection[str] | None = None) -> Family:
        """What was observed; with `first`, of those values of the first label only."""
        samples = [
            Sample(values, Distribution(self._buckets, tuple(counts), self._sums[values]))
            for values, counts in self._counts.items()
            if _among(values, first)
        ]
        return Family(self._name, "histogram", self._help, self._labels, samples)

    def _begin(self, values: tuple[str, ...]) -> list[int]:
        counts = self._counts[values] = [0] * (len(self._buckets) + 1)
        self._sums[values] = 0.0
        return counts


class RelayCounters:
    """What goes by relays, for each of them."""

    def __init__(self, names: Iterable[str]) -> None:
        self._requests = Counter(
            "remote_relay_requests_total", "Requests of jobs to relays since the start.", ("relay",)
        )
        self._bytes = Counter(
            "remote_relay_bytes_total",
            "Bytes of the bodies of requests and answers that passed since the start.",
            ("relay", "direction"),
        )
        self._failures = Counter(
            "remote_relay_failures_total",
            "Requests to relays that got no whole answer of the program, since the start.",
            ("relay", "reason"),
        )
        for name in names:
            self._requests.add(0, name)
            for direction in ("request", "response"):
                self._bytes.add(0, name, direction)
            # What an alert asks for: it must be there before it grows.
            for reason in ("relay_failed", "relay_timeout"):
                self._failures.add(0, name, reason)

    def request(self, relay: str) -> None:
        """One has come."""
        self._requests.add(1, relay)

    def sent(self, relay: str, size: int) -> None:
        """So many bytes of its body go to the program."""
        self._bytes.add(size, relay, "request")

    def received(self, relay: str, size: int) -> None:
        """So many bytes of the program's answer have come."""
        self._bytes.add(size, relay, "response")

    def failed(self, relay: str, reason: str) -> None:
        """It got no whole answer."""
        self._failures.add(1, relay, reason)

    def families(self) -> Iterator[Family]:
        """All of it."""
        for counted in (self._requests, self._bytes, self._failures):
            yield counted.family()


def _among(values: tuple[str, ...], first: Collection[str] | None) -> bool:
    return first is None or values[0] in first
