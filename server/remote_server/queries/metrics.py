"""Counters and histograms: what is counted while the server runs. No I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
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


def _among(values: tuple[str, ...], first: Collection[str] | None) -> bool:
    return first is None or values[0] in first
