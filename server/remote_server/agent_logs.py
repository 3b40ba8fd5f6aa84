"""The agents' own logs, as far as they have sent them: so many newest bytes of each.

An agent has a folder with two files at the most, named by where they begin, and an index that says
how far they hold and what the agent has sent (`cursor`). The index is written after the lines: what
a crash leaves beyond it is written over. Touches `<data-dir>/agent-logs` only.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import structlog

from remote_protocol.limits import MAX_LOG_LINE, MAX_WORD
from remote_protocol.printable import printable
from remote_server.disk.reserve import Reserve
from remote_server.domain.change_set import ChangeSet, hears
from remote_server.errors import StoreUnavailable

log = structlog.get_logger("remote_server.agent_logs")

SWEEP: Final = 600.0
"""Seconds between two looks for logs of agents that are gone, and for old ones."""
_INDEX: Final = "index"
_SCANNED: Final = 64 * 1024


class Index(NamedTuple):
    """What there is of a log, as positions in all that its agent ever sent."""

    cursor: str = ""
    start: int = 0
    """Where the older file begins."""
    middle: int = 0
    """Where the newer one does."""
    end: int = 0


Existing = Callable[[Collection[str]], Awaitable[Collection[str]]]


class AgentLogs:
    """Keeps `most` bytes of each agent; 0: none is wanted. `changed` hears whose log has grown."""

    def __init__(
        self,
        root: Path,
        reserve: Reserve,
        most: int,
        changed: Callable[[str], None] = lambda agent: None,
    ) -> None:
        self._root = root
        self._reserve = reserve
        self._most = most
        self._changed = changed
        self._known: dict[str, Index] = {}
        self._failed = False

    def cursor(self, agent: str) -> str | None:
        """What an agent has sent, in its own words; None: it should send nothing."""
        return self._index(agent).cursor if self._most else None

    def append(self, agent: str, lines: Sequence[str], cursor: str) -> bool:
        """Keep some lines; whether they are kept. They are made safe to print."""
        if not self._most or self._reserve.lack():
            return False
        data = b"".join(_line(text) for text in lines)
        try:
            self._write(agent, data, cursor)
        except OSError as error:
            if not self._failed:
                self._failed = True
                log.warning("logs of agents cannot be kept", reason=str(error))
            return False
        self._failed = False
        self._reserve.written(len(data))
        if data:
            self._changed(agent)
        return True

    def extent(self, agent: str) -> tuple[int, int]:
        """The first position that is kept, and the one after the last."""
        known = self._index(agent)
        return known.start, known.end

    def read(self, agent: str, offset: int, most: int) -> tuple[bytes, int]:
        """Up to `most` bytes from `offset` on, or from where what is kept begins, and the position
        after them."""
        known = self._index(agent)
        offset = min(max(offset, known.start), known.end)
        begin, end = (
            (known.start, known.middle) if offset < known.middle else (known.middle, known.end)
        )
        data = b""
        with suppress(OSError), open(self._file(agent, begin), "rb") as file:
            file.seek(offset - begin)
            data = file.read(min(most, end - offset))
        # What a crash of the host took away is passed over.
        return data, offset + len(data) if data else end

    def last(self, agent: str, lines: int) -> int:
        """The position at which the last so many lines begin."""
        start, end = self.extent(agent)
        offset, wanted = end, lines + 1
        while offset > start:
            size = min(_SCANNED, offset - start)
            data, _ = self.read(agent, offset - size, size)
            while len(data) < size and data:  # it goes over both files
                more, _ = self.read(agent, offset - size + len(data), size - len(data))
                if not more:
                    break
                data += more
            at = len(data)
            while wanted and (at := data.rfind(b"\n", 0, at)) >= 0:
                wanted -= 1
            if not wanted:
                return offset - size + at + 1
            offset -= size
        return start

    def remove(self, agent: str) -> None:
        """Forget a log."""
        self._known.pop(agent, None)
        shutil.rmtree(self._root / agent, ignore_errors=True)

    @hears("removed_agents")
    def committed(self, changes: ChangeSet) -> None:
        """Hear of a commit: a deleted agent's log goes with it."""
        for agent in changes.removed_agents:
            self.remove(agent)

    async def run(self, existing: Existing, retention: float) -> None:
        """Remove what is left of agents that are gone, and what is older than `retention`."""
        while True:
            with suppress(StoreUnavailable, OSError):
                await self.sweep(existing, time.time() - retention)
            await asyncio.sleep(SWEEP)

    async def sweep(self, existing: Existing, before: float) -> None:
        """The same once: what was written before this time (Unix seconds) goes."""
        names = sorted(os.listdir(self._root)) if self._root.exists() else []
        for at in range(0, len(names), 500):
            part = names[at : at + 500]
            there = await existing(part)
            for name in part:
                if name not in there or self._written(name) < before:
                    self.remove(name)
            await asyncio.sleep(0)

    def _written(self, agent: str) -> float:
        try:
            return (self._root / agent / _INDEX).stat().st_mtime
        except OSError:
            return 0.0

    def _file(self, agent: str, start: int) -> Path:
        return self._root / agent / f"{start}.log"

    def _index(self, agent: str) -> Index:
        known = self._known.get(agent)
        if known is None:
            known = self._known[agent] = _read_index(self._root / agent / _INDEX)
        return known

    def _write(self, agent: str, data: bytes, cursor: str) -> None:
        known = self._index(agent)
        folder = self._root / agent
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        start, middle, end, _ = (*known[1:], cursor)
        gone: Path | None = None
        if end > middle and end - middle + len(data) > self._most // 2:
            gone = self._file(agent, start) if start != middle else None
            start, middle = middle, end
        descriptor = os.open(self._file(agent, middle), os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            file.seek(end - middle)
            file.write(data)
        index = Index(cursor[:MAX_WORD], start, middle, end + len(data))
        part = folder / f"{_INDEX}.new"
        part.write_text(json.dumps(index._asdict()))
        part.replace(folder / _INDEX)
        self._known[agent] = index
        if gone is not None:
            gone.unlink(missing_ok=True)


def _line(text: str) -> bytes:
    return printable(text.replace("\n", " "))[:MAX_LOG_LINE].encode() + b"\n"


def _read_index(file: Path) -> Index:
    try:
        found = Index(**json.loads(file.read_bytes()))
        if found.start <= found.middle <= found.end:
            return found
    except (OSError, ValueError, TypeError):
        pass
    # None yet, or a crash of the host has damaged it: what there is, is written over.
    return Index()
