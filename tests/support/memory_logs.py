"""Logs in memory: the ports of the server's logs without a disk, with faults on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from zlib import crc32

from remote_protocol.attempt_id import AttemptId
from remote_server.logs import ArchiveUnavailable, Logs, LogUnavailable


class MemoryLogs:
    """`LogStore`. While `fault` says something, nothing can be written."""

    def __init__(self) -> None:
        self.logs: dict[AttemptId, bytearray] = {}
        self.aside: dict[AttemptId, bytes] = {}
        self.fault = ""

    def length(self, key: AttemptId) -> int | None:
        return len(self.logs[key]) if key in self.logs else None

    def append(self, key: AttemptId, payload: memoryview | bytes) -> int:
        self.probe()
        log = self.logs.setdefault(key, bytearray())
        log += payload
        return len(log)

    def read(self, key: AttemptId, offset: int, size: int) -> bytes | None:
        return bytes(self.logs[key][offset : offset + size]) if key in self.logs else None

    def truncate(self, key: AttemptId, length: int) -> None:
        self.probe()
        del self.logs.setdefault(key, bytearray())[length:]

    def extend(self, key: AttemptId, length: int, first: bytes, last: bytes) -> None:
        self.probe()
        log = self.logs.setdefault(key, bytearray())
        if len(log) < length:
            log += first + bytes(length - len(log) - len(first) - len(last)) + last

    def known_checksum(self, key: AttemptId, size: int) -> int | None:
        return None

    async def checksum(self, key: AttemptId, size: int, owner: str) -> int | None:
        log = self.logs.get(key, b"")
        return crc32(log[:size]) if len(log) >= size else None

    async def sync(self, key: AttemptId) -> None:
        self.probe()

    def release(self, key: AttemptId) -> None:
        pass

    def delete(self, key: AttemptId) -> None:
        self.probe()
        self.logs.pop(key, None)

    def probe(self) -> None:
        if self.fault:
            raise LogUnavailable(self.fault)

    def close(self) -> None:
        pass

    def content(self, key: AttemptId) -> Iterator[bytes]:
        if key in self.logs:
            yield bytes(self.logs[key])

    def restore(self, key: AttemptId, content: Iterable[bytes]) -> None:
        self.probe()
        self.logs[key] = bytearray(b"".join(content))

    def listing(self) -> Iterator[tuple[AttemptId, int]]:
        return ((key, len(log)) for key, log in sorted(self.logs.items()))

    def where(self, key: AttemptId) -> str:
        return f"memory of {key}"

    def set_aside(self, key: AttemptId) -> str:
        self.aside[key] = bytes(self.logs.pop(key))
        return f"memory of what was set aside of {key}"


class MemoryArchive:
    """`Archive`. While `fault` says something it fails; while `gate` is not set it does not
    answer."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.fault = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked: list[tuple[str, ...]] = []
        """The calls, each with the name."""

    async def put(self, name: str, content: Iterable[bytes]) -> None:
        await self._ask("put", name)
        data = await asyncio.to_thread(b"".join, content)
        # It may fail, or stop answering, when everything was sent.
        await self._ask("stored", name)
        self.objects[name] = data

    async def get(self, name: str, offset: int, size: int) -> bytes | None:
        await self._ask("get", name)
        found = self.objects.get(name)
        return None if found is None else found[offset : offset + size]

    async def size(self, name: str) -> int | None:
        await self._ask("size", name)
        return len(self.objects[name]) if name in self.objects else None

    async def delete(self, name: str) -> None:
        await self._ask("delete", name)
        self.objects.pop(name, None)

    async def names(self, after: str = "", limit: int = 1000) -> Sequence[str]:
        await self._ask("names", after)
        return sorted(name for name in self.objects if name > after)[:limit]

    def where(self, name: str) -> str:
        return f"memory of {name}"

    def close(self) -> None:
        self.fault = "closed"

    async def _ask(self, *call: str) -> None:
        self.asked.append(call)
        await self.gate.wait()
        if self.fault:
            raise ArchiveUnavailable(self.fault)


def memory_logs(worth_packing: int = 0) -> Logs:
    """Logs that need no directory."""
    return Logs(MemoryLogs(), MemoryArchive(), worth_packing)
