"""Which attempts this host has accepted: on the disk before they start (I4).

Touches one file in the state directory. It has a slot for each attempt that is accepted and not
settled: `<job>.<number> <boot id>`, filled up with blanks to a fixed length. Slots are written in
place. So no more than that one block has to reach the disk for all offers of a turn of the loop,
and no directory: what is in one counts only as long as the host does not restart
(docs/decisions/0047-what-an-acceptance-forces-to-the-disk.md).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from errno import ENOSPC
from pathlib import Path
from typing import Final

import structlog

from remote_agent.journal.folder import parse_key
from remote_agent.processes import KEEP, READ, Folder, UnexpectedEntry, sync_data, write_at
from remote_agent.shim.record import read_bounded
from remote_protocol.attempt_id import AttemptId

log = structlog.get_logger("journal")

NAME: Final = "accepted"
"""Of the file, in the state directory."""
SLOT: Final = 128
"""Bytes of one: it never crosses two sectors of a disk, which are written whole."""
MORE: Final = 64
"""Slots by which the file grows."""
_MOST: Final = 1 << 16
"""Slots that are read; far more than attempts a host ever has."""
_LONGEST_BOOT: Final = 80
_FORMER: Final = "-"
"""In the place of the boot id, where that is only known to have been another one."""


class Acceptances:
    """Those in the file in the folder `state_dir` of the agent, on the host with this `boot_id`.

    OSError when there is one that cannot be read.
    """

    def __init__(self, state_dir: Path, boot_id: str) -> None:
        self._place = state_dir
        self._boot_id = boot_id[:_LONGEST_BOOT].rstrip()
        self._descriptor: int | None = None
        self._slots: dict[AttemptId, int] = {}
        self._free: list[int] = []
        self._count = 0
        """Slots in the file."""
        self.former: set[AttemptId] = set()
        """Attempts that were accepted before the host restarted: they are lost, unless their
        directories say how they have ended."""
        self._read()

    def _read(self) -> None:
        with Folder(self._place) as folder:
            try:
                data = read_bounded(folder.open(NAME, READ), _MOST * SLOT)
            except FileNotFoundError:
                return
            except UnexpectedEntry as error:
                log.error("what the agent has accepted cannot be read", reason=error.strerror)
                folder.clear(NAME)
                return
        self._count = min(len(data) // SLOT, _MOST)
        for slot in range(self._count):
            name, _, boot_id = data[slot * SLOT :][:SLOT].decode(errors="replace").partition(" ")
            key = parse_key(name)
            if key is None or key in self._slots:
                self._free.append(slot)
                continue
            self._slots[key] = slot
            if boot_id.rstrip() != self._boot_id:
                self.former.add(key)

    def add(self, keys: Collection[AttemptId]) -> None:
        """The disk keeps that these are accepted when `force` has returned. OSError: of none."""
        try:
            descriptor = self._open(len(keys))
            for key in keys:
                if key not in self._slots:
                    self._slots[key] = self._free.pop()
                self._write(descriptor, self._slots[key], f"{key} {self._boot_id}")
        except OSError:
            for key in keys:
                self.remove(key)
            raise

    def probe(self) -> None:
        """Try whether the disk takes and keeps one. OSError when it refuses."""
        descriptor = self._open(1)
        self._write(descriptor, self._free[-1], "")
        sync_data(descriptor)

    def force(self) -> None:
        """Force all of them to the disk; may run in a thread. OSError when that refuses."""
        if self._descriptor is not None:
            sync_data(self._descriptor)

    def remove(self, key: AttemptId) -> None:
        """The server needs nothing more of an attempt. That is not forced to the disk: what comes
        back when the host loses power is settled once more."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        self.former.discard(key)
        self._free.append(slot)
        with suppress(OSError):
            self._write(self._open(0), slot, "")

    def renew(self) -> None:
        """Write the file anew, and force it to the disk, if somebody has removed, replaced or cut
        it since it was opened: it would be of no use after a restart of the host. OSError."""
        held = self._descriptor
        if held is None or self._in_place(held):
            return
        log.warning(
            "the record of accepted attempts was removed or replaced; it is written again",
            path=str(self._place / NAME),
        )
        with Folder(self._place) as folder:
            folder.clear(NAME)
            made = folder.open(NAME, KEEP)
            try:
                for slot in range(self._count):
                    self._write(made, slot, "")
                for key, slot in self._slots.items():
                    boot_id = _FORMER if key in self.former else self._boot_id
                    self._write(made, slot, f"{key} {boot_id}")
                sync_data(made)
                folder.sync()
                # Under the same number: a thread may be forcing it, or about to.
                os.dup2(made, held, inheritable=False)
            finally:
                os.close(made)

    def _in_place(self, held: int) -> bool:
        here = os.fstat(held)
        try:
            found = os.stat(self._place / NAME, follow_symlinks=False)
        except OSError:
            return False
        return os.path.samestat(found, here) and here.st_size >= self._count * SLOT

    def keep(self, keys: Iterable[str]) -> None:
        """Only these attempts have directories: others of this boot were settled by an agent that
        was killed in the middle of it."""
        here = set(keys)
        for key in [key for key in self._slots if str(key) not in here]:
            if key not in self.former:
                self.remove(key)

    def _open(self, wanted: int) -> int:
        """The file, with so many free slots."""
        if self._descriptor is None:
            with Folder(self._place) as folder:
                self._descriptor = folder.open(NAME, KEEP)
                if not self._count:
                    folder.sync()
        if len(self._free) < wanted:
            more = range(self._count, self._count + max(wanted, MORE))
            for slot in more:
                self._write(self._descriptor, slot, "")
            self._count = more.stop
            self._free.extend(reversed(more))
        return self._descriptor

    @staticmethod
    def _write(descriptor: int, slot: int, text: str) -> None:
        line = text.encode().ljust(SLOT - 1) + b"\n"
        if write_at(descriptor, memoryview(line), slot * SLOT) != SLOT:
            raise OSError(ENOSPC, os.strerror(ENOSPC))
