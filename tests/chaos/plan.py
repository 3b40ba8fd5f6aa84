"""What a chaos run submits and what it may expect: shapes of jobs with their bounds."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from remote_protocol.spec import CommandSpec, OnDisconnect
from remote_protocol.states import EndReason
from tests.chaos.actor import DAMAGES

_ACTOR = Path(__file__).with_name("actor.py")
_WEIGHTS = {
    "short": 30,
    "failing": 8,
    "silent": 8,
    "long": 14,
    "chatty": 8,
    "binary": 10,
    "forking": 5,
    "stubborn": 4,
    "greedy": 2,
    "reading": 10,
    "damaging": 6,
}
LOST_AFTER = 20.0
_FED = (0, 10, 100_000, 3_000_000, 5_000_000)
"""Sizes of inputs: also beyond the window that is on the way at once."""


@dataclass(frozen=True)
class Planned:
    """One job of the run: what is submitted, and how it may end by itself."""

    shape: str
    spec: CommandSpec
    reasons: frozenset[EndReason]
    """End reasons that need no fault and no cancel."""
    cancel_after: float | None
    """Seconds after which the run cancels it."""
    feed: bytes = b""
    """Its input, when it has one."""

    @property
    def damage(self) -> str:
        """What a hostile job does to its attempt, by name; empty for others."""
        if not self.hostile:
            return ""
        return DAMAGES[random.Random(int(self.spec.command[-2])).randrange(len(DAMAGES))].__name__

    @property
    def hostile(self) -> bool:
        """Whether it harms its own attempt: it may end in any way, yet must end."""
        return self.shape == "damaging"


def plan_job(dice: random.Random, records: Path) -> Planned:
    """The next job of a run; everything about it follows from the dice."""
    shape = dice.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
    timeout = 2.0 if shape == "stubborn" else 120.0
    spec = CommandSpec(
        name=f"chaos-{shape}",
        command=[
            sys.executable,
            "-S",
            "-B",
            str(_ACTOR),
            shape,
            str(dice.getrandbits(32)),
            str(records),
        ],
        timeout=timeout,
        grace_period=1.0,
        memory_limit=64 * 1024 * 1024 if shape == "greedy" else None,
        priority=dice.choice([0, 0, 0, 5, -5]),
        max_attempts=dice.choice([1, 1, 2, 3]),
        retry_backoff=0.2,
        weight=dice.choice([None, None, None, None, 0.5, 1.0]),
        expires_in=dice.choice([None] * 9 + [5.0]),
        on_disconnect=OnDisconnect(lost_after=LOST_AFTER),
        keep_processes=False,
        stdin=shape == "reading",
    )
    reasons = {EndReason.EXIT}
    if shape == "stubborn":
        reasons = {EndReason.TIMEOUT}
    if shape == "greedy":
        reasons = {EndReason.MEMORY_LIMIT}
    if spec.expires_in is not None:
        # By the server's wall clock, which jumps.
        reasons.add(EndReason.EXPIRED)
    cancel = dice.uniform(0.0, 4.0) if dice.random() < 0.08 else None
    feed = dice.randbytes(dice.choice(_FED)) if spec.stdin else b""
    return Planned(shape, spec, frozenset(reasons), cancel, feed)


def reading_of(feed: bytes) -> bytes:
    """What a job says that has read this input."""
    return b"read %d bytes, checksum %08x\n" % (len(feed), crc32(feed))
