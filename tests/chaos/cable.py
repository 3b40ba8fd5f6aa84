"""A cable between two network interfaces, in user space, whose weather can be made bad at will.

It carries whole packets between two descriptors (tun devices), and may lose, repeat, reorder, delay
and throttle them: what `tc netem` does, on kernels that lack it too. The dice are the cable's own.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import random
import select
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace

_LARGEST = 65536
_QUEUE = 1.5
"""Seconds of packets that a slow cable holds; what comes on top is lost, as in a router."""


@dataclass(frozen=True)
class Weather:
    """How a cable treats packets. Shares from 0 to 1; seconds; bytes a second."""

    loss: float = 0.0
    repeat: float = 0.0
    reorder: float = 0.0
    """Share of packets that are overtaken by later ones."""
    delay: float = 0.0
    rate: int | None = None
    upward: bool = True
    """Whether anything passes from the agent to the server."""
    downward: bool = True


FINE = Weather()


class Cable:
    """Carries packets between the descriptors `agent` and `server`, which it owns, in a thread."""

    def __init__(self, agent: int, server: int, seed: int) -> None:
        self.weather = FINE
        self.counts: Counter[str] = Counter()
        self.taken = 0
        """Packets that were lost, or wait for their time, or are delivered."""
        self._ends = (agent, server)
        self._dice = random.Random(seed)
        self._due: list[tuple[float, int, int, bytes]] = []
        self._number = 0
        self._free_at = {agent: 0.0, server: 0.0}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="cable")

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and close both ends."""
        self._stopping.set()
        self._thread.join(5)
        for end in self._ends:
            os.close(end)

    @property
    def idle(self) -> bool:
        """Whether no packet waits for its time."""
        return not self._due

    # The words of a relay, so that faults need not know what they harm --------------------------

    def black_hole(self, on: bool) -> None:
        """Whether nothing passes in either direction."""
        self.weather = replace(self.weather, upward=not on, downward=not on)

    def half_open(self, on: bool) -> None:
        """Whether only the direction from the server to the agent is blocked."""
        self.weather = replace(self.weather, downward=not on)

    def rate(self, bytes_a_second: int | None) -> None:
        """Limit each direction."""
        self.weather = replace(self.weather, rate=bytes_a_second)

    def heal(self) -> None:
        """Fine weather; what is on its way still arrives."""
        self.weather = FINE

    # Packets ------------------------------------------------------------------------------------

    def _run(self) -> None:
        agent, server = self._ends
        while not self._stopping.is_set():
            wait = min(0.2, max(0.0, self._due[0][0] - time.monotonic())) if self._due else 0.2
            ready, _, _ = select.select(self._ends, [], [], wait)
            for source in ready:
                with contextlib.suppress(OSError):
                    packet = os.read(source, _LARGEST)
                    self._take(packet, server if source == agent else agent, time.monotonic())
                    self.taken += 1
            self._deliver(time.monotonic())

    def _take(self, packet: bytes, target: int, now: float) -> None:
        weather, dice = self.weather, self._dice
        self.counts["packets"] += 1
        open_way = weather.upward if target == self._ends[1] else weather.downward
        if not open_way or dice.random() < weather.loss:
            self.counts["lost"] += 1
            return
        copies = 1
        if dice.random() < weather.repeat:
            self.counts["repeated"] += 1
            copies = 2
        for _ in range(copies):
            at = now + weather.delay
            if weather.rate is not None:
                begin = max(at, self._free_at[target])
                if begin - at > _QUEUE:
                    self.counts["lost"] += 1
                    continue
                at = self._free_at[target] = begin + len(packet) / weather.rate
            if dice.random() < weather.reorder:
                self.counts["reordered"] += 1
                at += dice.uniform(0.001, 0.05)
            self._number += 1
            heapq.heappush(self._due, (at, self._number, target, packet))

    def _deliver(self, now: float) -> None:
        while self._due and self._due[0][0] <= now:
            _, _, target, packet = self._due[0]
            try:
                os.write(target, packet)
            except OSError:
                # The interface is down: a packet that nobody takes is lost.
                self.counts["lost"] += 1
            heapq.heappop(self._due)
