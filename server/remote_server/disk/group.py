"""Syncs files in groups: what asks while the disk is busy shares the next round. No loop blocked.

A round runs in a thread. Logs of jobs that end together share folders, whose sync costs as much as
a file's own. Touches the descriptors and folders it is given.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from remote_server.disk.files import sync_folder

T = TypeVar("T")


class _Wish(NamedTuple):
    descriptor: int
    folders: Sequence[Path | str]
    done: asyncio.Future[None]


class GroupSync:
    """Makes files durable, many at a time."""

    def __init__(self) -> None:
        self._wishes: list[_Wish] = []
        self._work: asyncio.Task[None] | None = None

    async def sync(self, descriptor: int, folders: Sequence[Path | str]) -> None:
        """Make a file's bytes durable, and its name by syncing the folders above it. OSError.

        The descriptor must stay open meanwhile.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._wishes.append(_Wish(descriptor, folders, done))
        if self._work is None:
            self._work = asyncio.ensure_future(self._rounds())
        await done

    async def _rounds(self) -> None:
        try:
            while self._wishes:
                wishes, self._wishes = self._wishes, []
                faults: list[Exception | None]
                try:
                    faults = [*await asyncio.to_thread(_round, wishes)]
                except Exception as error:
                    faults = [error] * len(wishes)
                for wish, fault in zip(wishes, faults, strict=True):
                    if wish.done.done():
                        continue
                    if fault is None:
                        wish.done.set_result(None)
                    else:
                        wish.done.set_exception(fault)
        finally:
            self._work = None


def _round(wishes: Sequence[_Wish]) -> list[OSError | None]:
    """What became of each wish."""
    faults = [_fault(os.fdatasync, wish.descriptor) for wish in wishes]
    names = dict.fromkeys(folder for wish in wishes for folder in wish.folders)
    unsynced = {folder: _fault(sync_folder, folder) for folder in names}
    return [
        fault or next((error for folder in wish.folders if (error := unsynced[folder])), None)
        for wish, fault in zip(wishes, faults, strict=True)
    ]


def _fault(work: Callable[[T], None], target: T) -> OSError | None:
    try:
        work(target)
    except OSError as error:
        return error
    return None
