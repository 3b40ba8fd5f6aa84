"""The loop that ends what is overdue: leases of silent agents, offers nobody took, jobs that waited
too long, ephemeral agents that are gone.

It decides nothing by itself: `domain.expiry` judges, `domain.decisions` decides. It also writes
down, in one batch a minute, when each agent was last heard.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import AttemptState, EndReason
from remote_protocol.units import format_duration
from remote_server.domain.change_set import ChangeSet, hears
from remote_server.domain.expiry import (
    LeaseAction,
    Limits,
    Seen,
    judge,
    offer_ttl,
    overdue_detail,
    unstarted_detail,
)
from remote_server.domain.links import Links
from remote_server.domain.model import Clock, LiveLease
from remote_server.errors import NotFound, Stale, StoreUnavailable
from remote_server.queries.waiting import waiting_reasons
from remote_server.store import Store

_PAGE: Final = 500
_REMIND_EVERY: Final = 30.0
_MOMENT: Final = 0.2


@dataclass(frozen=True, slots=True)
class SweeperSettings:
    """Durations in seconds."""

    interval: float = 5.0
    offer_ttl: float = 45.0
    start_ttl: float = 60.0
    contact_every: float = 60.0
    ephemeral_after: float = 600.0
    """An ephemeral agent that was silent for so long, and holds nothing, is deleted."""


class Sweeper:
    """Ends what is overdue."""

    def __init__(
        self,
        store: Store,
        links: Links,
        clock: Clock,
        settings: SweeperSettings = SweeperSettings(),
    ) -> None:
        self._store = store
        self._links = links
        self._clock = clock
        self._settings = settings
        now = clock.boot()
        # Silence counts from here at the earliest: agents get their time again after a restart.
        self._floor = now
        self._last_sweep = now
        self._last_contact = now
        self._saved: dict[str, float] = {}
        self._seen: dict[tuple[AttemptId, str, AttemptState], float] = {}
        self._reminded: dict[AttemptId, float] = {}
        self._moved: dict[str, float] = {}
        """When an attempt of each agent last ceased to wait for its start."""
        self._log = structlog.get_logger("remote_server.sweeper")
        self._queued = asyncio.Event()

    @hears("queued")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of each commit: a new job may expire before the next sweep."""
        if changes.queued:
            self._queued.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.sweep()
                pause = await self._pause()
            except StoreUnavailable as error:
                self._log.warning("nothing can be swept now", cause=str(error))
                pause = self._settings.interval
            except Exception:
                self._log.exception("a sweep failed")
                pause = self._settings.interval
            await self._rest(pause)

    async def _rest(self, pause: float) -> None:
        """Sleep, but not beyond the expiry of a job that is queued meanwhile."""
        until = self._clock.boot() + pause
        while (left := until - self._clock.boot()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._queued.wait()
            except TimeoutError:
                return
            self._queued.clear()
            # Jobs come in crowds: one look at the database is enough for all of a moment.
            await asyncio.sleep(min(left, _MOMENT))
            with suppress(StoreUnavailable):
                until = min(until, self._clock.boot() + await self._pause())

    async def sweep(self) -> None:
        """Look at everything once."""
        now = self._clock.boot()
        if now - self._last_sweep > 2 * self._settings.interval + 10:
            # This process was stopped, or its host slept: it is not the agents who were silent.
            self._floor = now
        self._last_sweep = now
        while expired := await self._expire():
            self._log.info("jobs expired", count=len(expired))
            await asyncio.sleep(0)
        await self._sweep_leases(now)
        if now - self._last_contact >= self._settings.contact_every:
            self._last_contact = now
            await self._save_contact(now)
            await self._remove_ephemeral(now)

    async def _expire(self) -> list[str]:
        """End jobs that waited for too long, each with what it waited for last."""
        now = self._clock.wall()
        jobs = [await self._store.job(job) for job in await self._store.expiring(now)]
        if not jobs:
            return []
        reasons = await waiting_reasons(self._store, self._links, jobs)
        return await self._store.expire_waiting(now, reasons)

    async def _pause(self) -> float:
        due = await self._store.next_expiry()
        if due is None:
            return self._settings.interval
        return min(self._settings.interval, max(0.02, due - self._clock.wall()))

    async def _sweep_leases(self, now: float) -> None:
        seen: dict[tuple[AttemptId, str, AttemptState], float] = {}
        after = ("", "", 0)
        ttl = offer_ttl(self._settings.offer_ttl, len(self._links.names()))
        limits = Limits(ttl, self._settings.start_ttl)
        while page := await self._store.live_leases(after, _PAGE):
            for lease in page:
                mark = (lease.key, lease.agent, lease.state)
                since = self._seen.get(mark, now)
                accepted = lease.state is AttemptState.ACCEPTED
                if accepted and self._links.fetching(lease.agent, lease.key):
                    # It cannot start yet, and says so.
                    since = now
                seen[mark] = since
                await self._settle(lease, now, since, limits)
            last = page[-1]
            after = (last.agent, last.key.job, last.key.number)
            await asyncio.sleep(0)
        for _, agent, state in self._seen.keys() - seen.keys():
            if state is AttemptState.ACCEPTED:
                self._moved[agent] = now
        self._seen = seen
        live = {mark[0] for mark in seen}
        self._reminded = {key: at for key, at in self._reminded.items() if key in live}

    def _silence(self, agent: str, now: float) -> float:
        contact = self._links.contact(agent)
        return now - max(self._floor, self._floor if contact is None else contact)

    async def _settle(self, lease: LiveLease, now: float, since: float, limits: Limits) -> None:
        linked = self._links.welcomed(lease.agent)
        silence = self._silence(lease.agent, now)
        idle = now - self._moved.get(lease.agent, since)
        offered = lease.state is AttemptState.OFFERED
        unanswered = offered and self._links.unanswered(lease.agent, lease.key)
        action = judge(lease, Seen(silence, linked, now - since, idle, unanswered), limits)
        if action is LeaseAction.KEEP:
            return
        if action is LeaseAction.HURRY:
            self._hurry(lease, now, limits.start)
            return
        if action is LeaseAction.TIMEOUT:
            await self._enforce_timeout(lease, now)
            return
        wall = self._clock.wall()
        quiet = f"the agent {lease.agent!r} was silent for {format_duration(max(silence, 1))}"
        try:
            if action is LeaseAction.WITHDRAW:
                quiet = f"the agent {lease.agent!r} did not accept the offer in time"
                await self._store.withdraw(lease.key, quiet, wall, lease.agent)
            else:
                waits = lease.state is not AttemptState.RUNNING
                if linked and waits and silence < limits.offer:
                    quiet = unstarted_detail(lease.agent, limits.start)
                await self._store.lose(lease.key, quiet, wall, lease.agent)
        except Stale:
            # Its agent reported something in this very moment: that counts.
            return
        self._log.info(
            "attempt given up", key=str(lease.key), agent=lease.agent, how=str(action), why=quiet
        )

    def _asked(self, key: AttemptId, now: float) -> bool:
        """Whether its agent was asked a short time ago; if not, it is now."""
        if now - self._reminded.get(key, float("-inf")) < _REMIND_EVERY:
            return True
        self._reminded[key] = now
        return False

    def _hurry(self, lease: LiveLease, now: float, limit: float) -> None:
        if self._asked(lease.key, now):
            return
        # `lost`: the job's policy may grant another attempt, on an agent that does start it.
        detail = unstarted_detail(lease.agent, limit)
        self._log.warning("a job is not started", key=str(lease.key), agent=lease.agent)
        self._links.cancel(lease.agent, lease.key, EndReason.LOST, detail)

    async def _enforce_timeout(self, lease: LiveLease, now: float) -> None:
        if self._asked(lease.key, now):
            return
        detail = overdue_detail(lease.timeout)
        if not lease.overdue:
            # After a new link, or a restart of the server, it is still known why.
            await self._store.enforce_timeout(lease.key, detail, self._clock.wall())
        self._links.cancel(lease.agent, lease.key, EndReason.TIMEOUT, detail)

    async def _save_contact(self, now: float) -> None:
        wall = self._clock.wall()
        seen: dict[str, float] = {}
        known: dict[str, float] = {}
        for name in self._links.names():
            contact = self._links.contact(name)
            if contact is None:
                continue
            known[name] = contact
            if self._saved.get(name) != contact:
                seen[name] = wall - (now - contact)
        names = list(seen)
        for start in range(0, len(names), _PAGE):
            part = names[start : start + _PAGE]
            await self._store.save_contact({name: seen[name] for name in part})
        self._saved = known

    async def _remove_ephemeral(self, now: float) -> None:
        for name in await self._store.idle_ephemeral():
            silent = self._silence(name, now) >= self._settings.ephemeral_after
            if silent and not self._links.welcomed(name):
                try:
                    await self._store.delete_agent(name, self._clock.wall())
                except NotFound:
                    continue
                self._log.info("ephemeral agent removed", agent=name)
