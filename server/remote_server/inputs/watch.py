"""The loop that ends jobs whose input broke off: its sender fell silent without closing it.

A cut is never an end: such a job must not take what has come for all there is. Whoever sends an
input says now and then that it goes on; nobody saying so for `ttl` seconds is a cut.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

import structlog

from remote_protocol.units import format_duration
from remote_server.errors import NotFound, StoreUnavailable
from remote_server.inputs.store import InputStore
from remote_server.store import Store

_OFTEN: Final = 20
"""Looks within the time that is given."""
_SELDOM: Final = 30.0
_log = structlog.get_logger("remote_server.inputs")


class InputWatch:
    """Cancels jobs whose inputs are silent for `ttl` seconds."""

    def __init__(self, inputs: InputStore, store: Store, ttl: float) -> None:
        self._inputs = inputs
        self._store = store
        self._ttl = ttl

    async def run(self) -> None:
        """Work until cancelled."""
        pause, pruned = min(self._ttl / _OFTEN, _SELDOM), False
        while True:
            try:
                if not pruned:
                    await self.prune()
                    pruned = True
                await self.look()
            except StoreUnavailable as error:
                _log.warning("broken inputs cannot be ended now", cause=str(error))
            except Exception:
                _log.exception("a look at the inputs failed")
            await asyncio.sleep(pause)

    async def prune(self) -> None:
        """Forget what an earlier process has left of jobs that have ended."""
        for job in self._inputs.known():
            try:
                ended = (await self._store.job(job)).state.terminal
            except NotFound:
                ended = True
            if ended:
                self._inputs.forget([job])

    async def look(self) -> None:
        """Cancel the jobs of all silent inputs; those that wait for their end are asked again."""
        for job in self._inputs.silent(self._ttl):
            state = self._inputs.look(job)
            size = 0 if state is None else state.size
            detail = (
                f"its input broke off after {size} bytes: for {format_duration(self._ttl)} nobody "
                "has sent more of it, ended it, or said that it goes on"
            )
            try:
                reads = (await self._store.job(job)).spec.stdin
            except NotFound:
                reads = False
            if not reads:
                self._inputs.forget([job])
                continue
            cancelled = await self._store.request_cancel(job, detail, time.time())
            if cancelled.state.terminal:
                self._inputs.forget([job])
            else:
                # Said once; the wish itself is repeated by others.
                self._inputs.alive(job)
            _log.info("a job was cancelled: its input broke off", job=job, size=size)
