"""Compares the database with the logs, and repairs what can be repaired.

Reads the store and all logs; with `repair` it marks logs as gone or incomplete, and sets aside what
belongs to no job, or is the worse of two forms of one log. It deletes nothing. Where the archive is
empty, logs that may have been packed are marked only when somebody says that they are lost: it may
be a share that is not mounted.
"""

from __future__ import annotations

import time

from remote_protocol.attempt_id import AttemptId
from remote_server.errors import NotFound
from remote_server.logs import Logs
from remote_server.logs.examination import damage_in_archive, damage_in_store
from remote_server.store import Store
from remote_server.store.history import KeptLog


class Inspection:
    """One pass over everything. `faults` holds a sentence for each fault found."""

    def __init__(self, store: Store, logs: Logs, repair: bool, archive_lost: bool = False) -> None:
        self._store = store
        self._logs = logs
        self._repair = repair
        self._archive_lost = archive_lost
        self._unsure: list[KeptLog] = []
        """Logs that are missing, and may be in an archive that is not here."""
        self.faults: list[str] = []
        self.repaired = 0
        self.jobs = 0

    async def run(self) -> None:
        """Look at the database, then at each log, then for logs without a job."""
        self.faults += await self._store.check()
        self.jobs = sum((await self._store.counts()).values())
        empty = not self._archive_lost and await self._logs.archived.is_empty()
        page = await self._store.kept_logs()
        while page:
            for log in page:
                await self._look(log, empty)
            page = await self._store.kept_logs(page[-1].key)
        self._tell_unsure()
        await self._orphans()

    async def _look(self, log: KeptLog, archive_empty: bool) -> None:
        key, size, crc = log
        found = await damage_in_store(self._logs.store, key, size, crc)
        if found == "":
            return
        packed = await damage_in_archive(self._logs.archived, key, size, crc)
        if packed == "":
            if found is not None:
                self._worse(key, found)
        elif found is None and packed is None:
            if archive_empty and size >= max(1, self._logs.worth_packing):
                self._unsure.append(log)
            elif size:
                await self._missing(log)
        else:
            await self._damaged(key, found or packed or "")

    async def _missing(self, log: KeptLog) -> None:
        if self._repair:
            await self._store.logs_gone([log.key])
        self._say(log.key, f"is missing ({log.size} bytes)", "marked as removed")

    def _tell_unsure(self) -> None:
        if not self._unsure:
            return
        count, size = len(self._unsure), sum(log.size for log in self._unsure)
        self.faults.append(
            f"{count} log{'' if count == 1 else 's'} ({size} bytes) that may have been packed "
            f"{'is' if count == 1 else 'are'} missing, the first one is of job "
            f"{self._unsure[0].key.job}; the archive {self._logs.archived.place} is empty. "
            "Nothing was marked: if it is a share, mount it and check again; if they are lost, "
            "run: remote-server check --repair --archive-lost"
        )

    async def _damaged(self, key: AttemptId, fault: str) -> None:
        text = (
            f"{fault}; what is there can be read, the rest is only on the agent, if its retention "
            "still keeps it"
        )
        if self._repair:
            await self._store.log_torn(key, f"remote-server check: the log {fault}", time.time())
        self._say(key, text, "marked as incomplete")

    def _worse(self, key: AttemptId, fault: str) -> None:
        """A crash between packing a log and removing the plain one left both."""
        done = f"moved to {self._logs.store.set_aside(key)}" if self._repair else ""
        self._say(key, f"{fault}, but its packed form is sound", done)

    def _say(self, key: AttemptId, fault: str, done: str) -> None:
        text = f"the log of job {key.job}, attempt {key.number}, {fault}"
        if self._repair:
            self.repaired += 1
            text += f"; {done}"
        self.faults.append(text)

    async def _orphans(self) -> None:
        store, archived = self._logs.store, self._logs.archived
        for key in [key for key, _ in store.listing()]:
            if await self._unknown(key):
                done = store.set_aside(key) if self._repair else ""
                self._orphan(store.where(key), done)
        async for key in archived.listing():
            if await self._unknown(key):
                done = await archived.set_aside(key) if self._repair else ""
                self._orphan(archived.where(key), done)

    async def _unknown(self, key: AttemptId) -> bool:
        try:
            await self._store.job(key.job)
        except NotFound:
            return True
        return False

    def _orphan(self, place: str, done: str) -> None:
        if done:
            self.repaired += 1
            done = f"; moved to {done}"
        self.faults.append(f"{place} belongs to no job of the database{done}")
