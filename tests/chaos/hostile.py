"""The hostile actors of a chaos run, beside its faults: a rogue agent and strangers.

What they do follows from the seed, as the faults do. Hostile jobs are planned like the others
(`plan.py`, the shape `damaging`).
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

from remote_client.errors import ClientError
from tests.chaos import strangers
from tests.chaos.rogue import NAME, Rogue
from tests.chaos.stage import Missed, Stage

_LONGEST = 1.5
"""Seconds between two acts."""
_MOST_LOGGED = 4 << 20
"""Bytes of the server's log for a minute of it all."""
_MOST_STORED = 256 << 20
"""Bytes of its data: database and logs."""
_NAMED_FROM = 6
"""Refusals in a row after which the rogue must be named: a few may happen to anybody."""

Act = Callable[[random.Random], str]


class Hostiles(threading.Thread):
    """Plays one hostile act after the other until it is told to stop."""

    def __init__(self, stage: Stage, dice: random.Random, tell: Callable[[str], None]) -> None:
        super().__init__(daemon=True)
        self._stage = stage
        self._dice = dice
        self._tell = tell
        self.acts: Counter[str] = Counter()
        self.rogue = Rogue(stage)
        self.stopping = threading.Event()
        self.error: Exception | None = None
        self._table = self._playable()

    def _playable(self) -> dict[str, tuple[Act, int]]:
        rogue = self.rogue
        own: list[tuple[Act, int]] = [
            (rogue.claim_queues, 2),
            (rogue.refuse_all, 4),
            (rogue.ignore_offers, 2),
            (rogue.flood, 3),
            (rogue.say_missing, 3),
            (rogue.oversize, 3),
            (rogue.keep_silent, 2),
            (rogue.meddle, 3),
        ]
        foreign = [
            (strangers.idle, 2),
            (strangers.unfinished, 3),
            (strangers.inflate, 2),
            (strangers.malformed, 2),
            (strangers.guess, 1),
        ]
        table = {act.__name__: (act, weight) for act, weight in own}
        for act, weight in foreign:
            table[act.__name__] = (self._on_stage(act), weight)
        return table

    def _on_stage(self, act: Callable[[Stage, random.Random], str]) -> Act:
        return lambda dice: act(self._stage, dice)

    def run(self) -> None:
        """Act at random moments; a server that is away makes an act a miss."""
        names = list(self._table)
        weights = [weight for _, weight in self._table.values()]
        while not self.stopping.wait(self._dice.uniform(0, _LONGEST)):
            # The sequence comes from the seed alone: what an act meets must not turn these dice.
            (name,) = self._dice.choices(names, weights)
            own = random.Random(self._dice.getrandbits(32))
            try:
                told = self._table[name][0](own)
            except (OSError, ClientError, Missed):
                continue
            except Exception as error:
                self.error = error
                return
            self.acts[name] += 1
            self._tell(f"HOSTILE {name}: {told}")

    def judge(self, seconds: float) -> list[str]:
        """What the hostile have achieved, on the calm stage; nothing when all is well."""
        wrong = []
        server = self._stage.server
        minutes = max(1.0, seconds / 60)
        logged = server.log.stat().st_size
        if logged > _MOST_LOGGED * minutes:
            wrong.append(f"the server has logged {logged:,} bytes")
        stored = sum(f.stat().st_size for f in (server.disk / "data").rglob("*") if f.is_file())
        if stored > _MOST_STORED * minutes:
            wrong.append(f"the server keeps {stored:,} bytes, holes included")
        shown = self._stage.client.agent(NAME)
        if set(shown.queues) - {"default", "rogue"}:
            wrong.append(f"the rogue has got queues: {shown.queues[:20]}")
        if self.rogue.most_refused >= _NAMED_FROM and not self._named("gives back"):
            wrong.append("nobody says that the rogue refuses what it is offered")
        return wrong

    def _named(self, word: str) -> bool:
        """Whether the rogue is named with this word: on the agent, or in the server's log."""
        shown = self._stage.client.agent(NAME)
        if word in f"{shown.warning} {shown.condition.reason}":
            return True
        lines = self._stage.server.log.read_text("utf-8", "replace").splitlines()
        return any(word in line and NAME in line for line in lines)

    def leave(self) -> None:
        """End the acts, and the rogue's jobs."""
        self.stopping.set()
        self.join(60)
        deadline = time.monotonic() + 30
        while True:
            try:
                self.rogue.retire()
                return
            except ClientError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
