"""The hostile actors of a chaos run, beside its faults: a rogue agent and strangers.

What they do follows from the seed, as the faults do. Hostile jobs are planned like the others
(`plan.py`, the shape `damaging`).
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from remote_client.errors import ClientError
from tests.chaos import strangers
from tests.chaos.rogue import NAME, Rogue
from tests.chaos.stage import Missed, Stage
from tests.support.trees import total_size

STRANGER = "127.0.0."
"""What strangers' addresses begin with."""
_LONGEST = 1.5
"""Seconds between two acts."""
_MOST_LOGGED = 4 << 20
"""Bytes of the server's log for a minute of it all."""
_MOST_STORED = 256 << 20
"""Bytes of its data: database and logs."""
_NAMED_FROM = 6
"""Refusals in a row after which the rogue must be named: a few may happen to anybody."""

_FLOOD = 20_000
"""Heartbeats on one link after which it must be named: ten times what is taken at once."""
_OFTEN = 3
"""Times that a thing was done after which it must be named: the server may be killed meanwhile, and
leaves lines out that are like the last ones."""
Deeds = dict[str, tuple[bool, str, str]]
Act = Callable[[random.Random], str]


def unnamed(rogue: Rogue, acts: Mapping[str, int], lines: Sequence[str]) -> list[str]:
    """Who did something that harms, and is not named for it in `lines`: the server's words."""
    deeds: Deeds = {
        "the rogue refuses what it is offered": (
            rogue.most_refused >= _NAMED_FROM,
            NAME,
            "gives back",
        ),
        "the rogue floods": (rogue.most_said >= _FLOOD, NAME, "sends more than it may"),
        "the rogue sends what is too large": (
            rogue.oversized >= _OFTEN,
            NAME,
            "exceeds limit|at most|beyond every log|too big|too large",
        ),
        "the rogue has no log": (rogue.missed >= _OFTEN, NAME, "log is incomplete"),
        "a stranger sends what is no request": (
            acts.get("malformed", 0) >= _OFTEN,
            STRANGER,
            "malformed request",
        ),
        "a stranger guesses tokens": (acts.get("guess", 0) >= _OFTEN, STRANGER, "sign-in refused"),
    }
    return [
        f"nobody says that {what}"
        for what, (done, name, words) in deeds.items()
        if done and not any(name in line and re.search(words, line) for line in lines)
    ]


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
        stored = total_size(server.disk / "data")
        if stored > _MOST_STORED * minutes:
            wrong.append(f"the server keeps {stored:,} bytes, holes included")
        shown = self._stage.client.agent(NAME)
        if set(shown.queues) - {"default", "rogue"}:
            wrong.append(f"the rogue has got queues: {shown.queues[:20]}")
        lines = self._stage.server.log.read_text("utf-8", "replace").splitlines()
        lines.append(f"{NAME}: {shown.warning} {shown.condition.reason}")
        return wrong + unnamed(self.rogue, self.acts, lines)

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
