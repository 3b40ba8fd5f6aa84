"""Metrics as StatsD's datagrams. Pure.

Each is `name:value|type`, with labels as `|#label:value`, the form of DogStatsD that Datadog's
agent, Telegraf, Vector and statsd_exporter read. Counters are sent as what they grew by; a
histogram as counters of its observations and of their sum in milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from remote_protocol.metrics import Distribution, Family, number

LARGEST: Final = 1432
"""Bytes of a datagram: what one Ethernet frame carries, with room for tunnels."""
_RESERVED: Final = re.compile(r"[|,#:@\s]")


class Statsd:
    """Knows what was sent before."""

    def __init__(self) -> None:
        self._sent: dict[tuple[str, tuple[str, ...]], float] = {}

    def datagrams(self, families: Sequence[Family]) -> Iterator[bytes]:
        """What says how all of them are now."""
        sent, self._sent = self._sent, {}
        return _packed(self._lines(families, sent))

    def _lines(
        self, families: Sequence[Family], sent: dict[tuple[str, tuple[str, ...]], float]
    ) -> Iterator[str]:
        for family in families:
            for labels, value in family.samples:
                tags = _tags(family.labels, labels)
                told: tuple[tuple[str, float], ...]
                if isinstance(value, Distribution):
                    told = ((".count", float(sum(value.counts))), (".sum_ms", value.total * 1000))
                elif family.kind == "counter":
                    told = (("", value),)
                else:
                    yield f"{family.name}:{number(value)}|g{tags}"
                    continue
                for ending, total in told:
                    key = family.name + ending, labels
                    self._sent[key] = total
                    grown = total - sent.get(key, 0.0)
                    if grown > 0:
                        yield f"{key[0]}:{number(round(grown, 3))}|c{tags}"


def _tags(names: Sequence[str], values: Sequence[str]) -> str:
    pairs = [
        f"{name}:{_RESERVED.sub('_', value)}" for name, value in zip(names, values, strict=True)
    ]
    return "|#" + ",".join(pairs) if pairs else ""


def _packed(lines: Iterable[str]) -> Iterator[bytes]:
    datagram = b""
    for line in lines:
        raw = line.encode()
        if datagram and len(datagram) + 1 + len(raw) > LARGEST:
            yield datagram
            datagram = b""
        datagram = datagram + b"\n" + raw if datagram else raw
    if datagram:
        yield datagram
