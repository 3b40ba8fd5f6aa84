"""One loop: keeps the disk usable. Deletes logs that nobody waits for any more, a few at a time.

May look at and delete settled attempts and trash, never anything that the server still needs.
When deleting does not help, it says that the host takes no more jobs, and as the last resort has
the running jobs' output wait: nothing is ever lost for want of space.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from typing import Final, Protocol

import structlog

from remote_agent.config import Config
from remote_agent.errors import os_words
from remote_agent.journal import Journal, SettledLog
from remote_protocol.units import format_size

log = structlog.get_logger("janitor")

LOOK: Final = 5.0
"""Seconds between two looks at the disk."""
SWEEP: Final = 60.0
"""Seconds between two sweeps through the settled attempts."""
AT_ONCE: Final = 20
"""Entries deleted in one go: on ext4 many deletions at once slow the next attempts' creation."""
PAUSE: Final = 0.02
SLICE: Final = 250
"""Settled logs looked at before others have their turn: some milliseconds."""
BACK: Final = 1.05
"""How much more than the reserve must be free before jobs are taken again: no flapping."""
RELAX: Final = 0.9
"""Share of the quota below which jobs' output goes on again."""


class Unsent(Protocol):
    """Who knows how much of the logs the server does not have (the session)."""

    @property
    def spool_bytes(self) -> int:
        """Log bytes that the server has not acknowledged."""


class Janitor:
    """Looks after the disk of one agent.

    `block` is told why the host takes no jobs, with an empty text when it can again;
    `pause_output` whether the running jobs' output waits.
    """

    def __init__(
        self,
        config: Config,
        journal: Journal,
        unsent: Unsent,
        block: Callable[[str], None],
        pause_output: Callable[[bool], None],
        free: Callable[[], int] | None = None,
    ) -> None:
        self._config = config
        self._journal = journal
        self._unsent = unsent
        self._block = block
        self._pause_output = pause_output
        self._free = free or self._measure
        self._short = False
        self._over_quota = False
        self._write_error = ""
        """Why the disk takes no attempt; empty while it does."""
        self._swept_at: float | None = None

    def adjust(self, config: Config) -> None:
        """The configuration was read again."""
        self._config = config

    async def run(self) -> None:
        """The loop; ends by cancellation."""
        while True:
            # Not at once: the start of an agent is for its jobs.
            await asyncio.sleep(LOOK)
            try:
                await self.look()
            except OSError as error:
                log.error(
                    "the clean-up of the disk failed; trying again",
                    reason=os_words(error, "its state"),
                )
            except Exception:
                # Whatever a job has left there, the agent and its other jobs go on.
                log.exception("the clean-up of the disk failed; trying again")

    async def look(self) -> None:
        """One round: retention when it is time, the reserve, the quota of spools."""
        now = time.monotonic()
        if self._swept_at is None or now - self._swept_at >= SWEEP or self._lacking():
            self._swept_at = now
            await self.sweep()
        await self._purge()
        self.judge()
        self._journal.renew_acceptances()
        if self._write_error:
            self._probe()
        elif not self._short:
            self._journal.prepare()

    def refused(self, reason: str) -> None:
        """The disk has refused an attempt, however much is free: no jobs until it takes one.
        `reason` is a sentence."""
        if not self._write_error:
            log.error("taking no jobs until the disk takes one", reason=reason)
        self._write_error = reason
        self._report()

    def _probe(self) -> None:
        try:
            self._journal.probe()
        except OSError as error:
            why = os_words(error, "the state directory")
            self._write_error = f"no attempt can be written to the disk: {why}"
        else:
            log.info("attempts can be written again")
            self._write_error = ""
        self._report()

    async def sweep(self) -> None:
        """Remove settled logs that are too old, or too much together, or in the way of jobs."""
        logs = self._config.logs
        kept = []
        for entry in self._journal.kept():
            kept.append(entry)
            if len(kept) % SLICE == 0:
                # A host of many short jobs has hundreds of thousands.
                await asyncio.sleep(0)
        kept.sort(key=lambda entry: entry.settled_at)
        total = sum(entry.size for entry in kept) + self._unsent.spool_bytes
        # No decision about jobs rests on this clock: it only ages files that nobody needs.
        oldest = time.time() - logs.retention
        removed = 0
        for entry in kept:
            if entry.settled_at > oldest and total <= logs.max_total and not self._lacking():
                break
            self._remove(entry)
            total -= entry.size
            removed += 1
            if removed % AT_ONCE == 0 or self._lacking():
                await self._purge()
        python = self._config.python
        await asyncio.to_thread(
            self._journal.environments.trim, 0 if self._lacking() else python.cache_max
        )
        if removed:
            log.info("removed old logs of jobs", attempts=removed, left=len(kept) - removed)

    def _remove(self, entry: SettledLog) -> None:
        try:
            self._journal.remove(entry.key)
        except OSError as error:
            log.warning("a log cannot be removed", attempt=str(entry.key), reason=error.strerror)

    async def _purge(self) -> None:
        """Give the trash's space back; in a thread, because large files take their time."""
        deleted = AT_ONCE
        while deleted == AT_ONCE:
            deleted = await asyncio.to_thread(self._journal.purge, AT_ONCE)
            await asyncio.sleep(PAUSE)

    def _lacking(self) -> bool:
        return self._free() < self._config.limits.min_free_disk

    def judge(self) -> None:
        """Whether the disk lets the host take jobs, and lets those that run write on."""
        reserve, free = self._config.limits.min_free_disk, self._free()
        quota, unsent = self._config.logs.max_total, self._unsent.spool_bytes
        short = free < (reserve * BACK if self._short else reserve)
        full = unsent > (quota * RELAX if self._over_quota else quota)
        if full != self._over_quota:
            log.warning(
                "the output of running jobs is paused: too much of it has not been uploaded yet"
                if full
                else "the output of running jobs goes on",
                unsent=unsent,
            )
            self._pause_output(full)
        # Once and not with every byte: each change goes to the server.
        if (short, full) != (self._short, self._over_quota):
            self._short, self._over_quota = short, full
            self._report()

    def _report(self) -> None:
        self._block(self._sentence(self._free(), self._unsent.spool_bytes))

    def _sentence(self, free: int, unsent: int) -> str:
        if self._write_error:
            return self._write_error
        if self._short:
            reserve = format_size(self._config.limits.min_free_disk)
            return f"disk below its reserve: {format_size(free)} free of {reserve}"
        if self._over_quota:
            quota = format_size(self._config.logs.max_total)
            return f"{format_size(unsent)} of logs wait for the server, {quota} are allowed"
        return ""

    def _measure(self) -> int:
        return shutil.disk_usage(self._config.state_dir).free
