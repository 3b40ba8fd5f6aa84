"""One loop: the agent's metrics to a StatsD, as UDP datagrams. Touches that socket only."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress

from remote_agent.errors import os_words
from remote_agent.export import Read
from remote_agent.export.said import Said
from remote_protocol.metrics import Family
from remote_protocol.statsd import Statsd


class StatsdSender:
    """Sends to `to` (`HOST:PORT`), every `interval` seconds."""

    def __init__(self, to: str, agent: str, read: Read, interval: float) -> None:
        """`agent` is the value of the label `agent`, which every metric gets."""
        self._to = to
        self._agent = agent
        self._read = read
        self._interval = interval
        self._said = Said(f"statsd {to}")

    async def run(self) -> None:
        """Send until it is cancelled. A name that is not found is looked up again."""
        host, _, port = self._to.rpartition(":")
        statsd, loop = Statsd(), asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._interval)
            try:
                found = await loop.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_DGRAM)
                family, kind, _, _, address = found[0]
                with socket.socket(family, kind) as sender:
                    sender.setblocking(False)
                    for datagram in statsd.datagrams(_of(self._agent, self._read())):
                        with suppress(BlockingIOError):
                            sender.sendto(datagram, address)
            except OSError as error:
                self._said.failed(os_words(error, self._to))
            else:
                self._said.sent()


def _of(agent: str, families: Sequence[Family]) -> list[Family]:
    return [
        family._replace(
            labels=("agent", *family.labels),
            samples=[sample._replace(labels=(agent, *sample.labels)) for sample in family.samples],
        )
        for family in families
    ]
