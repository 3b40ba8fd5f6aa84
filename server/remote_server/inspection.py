"""Compares the database with the log files, and repairs what can be repaired.

Reads the store and the folder of logs; with `repair` it marks logs as gone or incomplete, and moves
what belongs to no job, or is the worse of two forms of one log, aside. It deletes nothing.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from remote_protocol.attempt_id import AttemptId
from remote_server.errors import NotFound
from remote_server.logs import LogStore
from remote_server.logs.examination import damage
from remote_server.store import Store
from remote_server.store.history import KeptLog


class Inspection:
    """One pass over everything. `faults` holds a sentence for each fault found."""

    def __init__(self, store: Store, logs: LogStore, repair: bool) -> None:
        self._store = store
        self._logs = logs
        self._repair = repair
        self.faults: list[str] = []
        self.repaired = 0
        self.jobs = 0

    async def run(self) -> None:
        """Look at the database, then at each log, then for logs without a job."""
        self.faults += await self._store.check()
        self.jobs = sum((await self._store.counts()).values())
        page = await self._store.kept_logs()
        while page:
            for log in page:
                await self._look(log)
            page = await self._store.kept_logs(page[-1].key)
        await self._orphans()

    async def _look(self, log: KeptLog) -> None:
        plain, packed = self._logs.forms(log.key)
        found = await asyncio.to_thread(damage, plain, log.size, log.checksum)
        other = None
        if found != "":
            other = await asyncio.to_thread(damage, packed, log.size, log.checksum)
        if found == "" or (found is None and other == ""):
            return
        if found is not None and other == "":
            self._worse(log.key, found, plain)
        elif found is None and other is None:
            if log.size:
                await self._missing(log)
        else:
            await self._damaged(log.key, found or other or "")

    async def _missing(self, log: KeptLog) -> None:
        if self._repair:
            await self._store.logs_gone([log.key])
        self._say(log.key, f"is missing ({log.size} bytes)", "marked as removed")

    async def _damaged(self, key: AttemptId, fault: str) -> None:
        text = (
            f"{fault}; what is there can be read, the rest is only on the agent, if its retention "
            "still keeps it"
        )
        if self._repair:
            await self._store.log_torn(key, f"remote-server check: the log {fault}", time.time())
        self._say(key, text, "marked as incomplete")

    def _worse(self, key: AttemptId, fault: str, path: Path) -> None:
        """A crash between packing a log and removing the plain one left both."""
        done = f"moved to {self._aside(path)}" if self._repair else ""
        self._say(key, f"{fault}, but its packed form is sound", done)

    def _say(self, key: AttemptId, fault: str, done: str) -> None:
        text = f"the log of job {key.job}, attempt {key.number}, {fault}"
        if self._repair:
            self.repaired += 1
            text += f"; {done}"
        self.faults.append(text)

    async def _orphans(self) -> None:
        for job in list(self._logs.jobs()):
            try:
                await self._store.job(job)
            except NotFound:
                folder = self._logs.path(AttemptId(job, 1)).parent
                done = ""
                if self._repair:
                    aside = self._aside(folder)
                    self.repaired += 1
                    done = f"; moved to {aside}"
                self.faults.append(f"{folder} belongs to no job of the database{done}")

    def _aside(self, found: Path) -> Path:
        """Outside the folder of logs: a log may be all that is left of a job."""
        name = found.name if found.is_dir() else f"{found.parent.name}.{found.name}"
        target = self._logs.root.with_name("logs.orphaned") / name
        target.parent.mkdir(mode=0o700, exist_ok=True)
        found.rename(target)
        return target
