"""Who hears of what was run and committed, and when: agents before everybody else (ADR 52).

A commit holds the loop, and much waits for its turn afterwards. What an agent is told, or has said
meanwhile, leads to the start of a job; the answer to whoever submitted it does not. No I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from remote_server.store.batches import Batch, hear, refuse, settle
from remote_server.store.listeners import Listeners
from remote_server.store.ports import Write

ANSWER_TURNS: Final = 3
"""Turns of the loop in which agents may answer offers: before the commit, which holds the loop, and
after it, before anybody else hears of it. One finds the bytes of an answer, the next has its link
hear it, the last runs it."""


class Answers:
    """The results of one database. `soon` has something done in the loop's next turn."""

    def __init__(self, listeners: Listeners, soon: Callable[[Callable[[], None]], object]) -> None:
        self._listeners = listeners
        self._soon = soon
        self._unsettled: list[Batch] = []
        """Those that are committed, and not everybody was told so."""

    def before_commit(self, batch: Batch) -> bool:
        """Tell those who may hear of it early, and have agents told at once; whether there were
        any."""
        told = batch.tell()
        if told:
            self._listeners.told()
        return told

    def committed(self, batch: Batch) -> None:
        """Tell of a commit."""
        self._unsettled.append(batch)
        try:
            if batch.changes:
                self._listeners.published(batch.changes)
        finally:
            settle(batch, first=True)
            self._tell_first(batch.writes)
            # Where all ran again one by one, what was offered early is compared at once.
            awaited = batch.offers and not batch.isolated
            self._settle_after(ANSWER_TURNS if awaited else 0)

    def failed(self, writes: Sequence[Write], error: Exception) -> None:
        """Tell that nothing of it is stored, as far as anybody can say."""
        self.settle()
        refuse((write.future for write in writes), error)
        self._listeners.failed()
        self._tell_first(writes)

    def settle(self) -> None:
        """Tell everybody who was not told yet."""
        unsettled, self._unsettled = self._unsettled, []
        for batch in unsettled:
            settle(batch)

    def _tell_first(self, writes: Sequence[Write]) -> None:
        hear(writes)
        self._listeners.told()

    def _settle_after(self, turns: int) -> None:
        if turns:
            self._soon(partial(self._settle_after, turns - 1))
        else:
            self.settle()
