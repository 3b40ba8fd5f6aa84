"""One attempt's directory as the agent sees it: writing it durably, reading what it says.

Touches that directory and its work directory. `docs/attempt-directory.md` is the contract with
the shim, who writes all that concerns the run.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from remote_agent.journal.spares import make_empty
from remote_agent.processes import (
    READ,
    REPLACE,
    Folder,
    open_file,
    rename,
    script_name,
    set_mode,
    split_shell,
    sync,
    unfit,
)
from remote_agent.session.events import Key
from remote_agent.shim.layout import EXIT, ORDER, SCRIPT, STARTED, VERSION
from remote_agent.shim.order import Order
from remote_agent.shim.record import has_begun, read_record
from remote_agent.spool import SpoolReader
from remote_protocol.limits import MAX_TEXT
from remote_protocol.messages import Ended, Offer, Phase
from remote_protocol.spec import JobFile

NEW: Final = ".new."
"""What the name of a directory begins with until it is complete."""
_MOST_STEPS: Final = 200


class BrokenDirectory(Exception):
    """The directory holds no attempt that can be understood; the text is a sentence."""


class NumberUsed(Exception):
    """An attempt of this number has run here and was settled; the text is a sentence."""


class BadFile(Exception):
    """A file of the job cannot be put into its work directory; the text is a sentence."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a shim noted when it had spawned the job; `at` is Unix time."""

    pid: int
    start_time: str
    shim_pid: int
    shim_start_time: str
    boot_id: str
    at: float
    cgroup: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """One attempt as its directory tells it."""

    key: Key
    offer: Offer
    phase: Phase
    size: int
    """Length of its log in bytes."""
    started: Started | None
    ended: Ended | None
    """Set when the phase is `ended`; `lost` when the shim died before it could say."""


def write_directory(
    directory: Path,
    order: Order,
    offer: Offer,
    boot_id: str,
    work: Path,
    spare: Path | None = None,
) -> None:
    """Make an attempt's directory, of an empty one if there is a `spare`. OSError, BadFile:
    nothing of it is left.

    It gets its name when it is complete, so a crash leaves no half attempt behind. With
    `order.sync` everything that a start needs is on the disk when this returns (I4).
    """
    new = spare or directory.with_name(f"{NEW}{directory.name}")
    inside = work.parent == directory
    try:
        if spare is None:
            make_empty(new, inside)
        if not inside:
            work.mkdir(mode=0o700, parents=True)
        _put_files(new / work.name if inside else work, offer.spec.files, order.sync)
        _write_order(new, order, offer, boot_id)
        rename(new, directory)
        if order.sync:
            # Behind the rename, so that one commit of the file system's journal carries it all:
            # syncing the file writes it, the directories then find nothing left to write.
            sync(directory / ORDER)
            sync(directory)
            sync(directory.parent)
    except BaseException:
        for half in (new, work, directory):
            shutil.rmtree(half, ignore_errors=True)
        raise


def _write_order(directory: Path, order: Order, offer: Offer, boot_id: str) -> None:
    script = offer.spec.script_text
    if script is not None:
        name = script_name(split_shell(offer.spec.shell or ""), SCRIPT)
        _write(directory / name, script.encode(), 0o700, order.sync)
    second = {"v": VERSION, "boot_id": boot_id, "offer": None}
    head, _, tail = json.dumps(second, separators=(",", ":")).rpartition("null")
    body = f"{head}{offer.model_dump_json(exclude_none=True)}{tail}\n"
    _write(directory / ORDER, order.line() + body.encode(), 0o600)


def _put_files(work: Path, files: list[JobFile], durable: bool) -> None:
    for file in files:
        target = work / file.path
        if problem := unfit(file.path):
            raise BadFile(f"the job's file {file.path!r} cannot be put there: {problem}")
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(target, file.data, file.mode, durable)
        except (NotADirectoryError, IsADirectoryError, FileExistsError) as error:
            raise BadFile(
                f"the job's file {file.path!r} cannot be put into its work directory: "
                f"{error.strerror}; another of its files is in the way"
            ) from error


def _write(path: Path, data: bytes, mode: int, durable: bool = False) -> None:
    descriptor = open_file(path, REPLACE, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        if mode != 0o600:
            set_mode(descriptor, mode)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Reading:
    """What lies in a directory, before it is judged. `begun` without `kept` and `exit`: dead."""

    offer: Offer
    boot_id: str
    begun: bool
    kept: bool
    started: Started | None
    exit: dict[str, Any] | None


def read_directory(directory: Path) -> Reading:
    """Read an attempt's directory. BrokenDirectory when it is none, FileNotFoundError when gone."""
    with Folder(directory) as folder:
        offer, boot_id = _read_offer(folder)
        begun = has_begun(folder)
        # The lock first: a shim writes its exit record before it lets go. It is never tested
        # before a shim has begun: the look itself holds the lock for a moment.
        kept = begun and folder.locked()
        body = read_record(folder, EXIT)
        started = _started(read_record(folder, STARTED))
    return Reading(offer, boot_id, begun, kept, started, body)


def _read_offer(directory: Folder) -> tuple[Offer, str]:
    try:
        descriptor = directory.open(ORDER, READ)
    except FileNotFoundError:
        raise BrokenDirectory(f"there is no {ORDER} in it") from None
    with open(descriptor, "rb") as file:
        second = file.read().partition(b"\n")[2]
    try:
        body = json.loads(second)
        return Offer.model_validate(body["offer"]), str(body["boot_id"])
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise BrokenDirectory(f"its {ORDER} is damaged ({first})") from None


def _started(body: dict[str, Any] | None) -> Started | None:
    if body is None:
        return None
    try:
        return Started(
            pid=int(body["pid"]),
            start_time=str(body["start_time"]),
            shim_pid=int(body["shim_pid"]),
            shim_start_time=str(body["shim_start_time"]),
            boot_id=str(body["boot_id"]),
            at=float(body["at"]),
            cgroup=body.get("cgroup"),
        )
    except (KeyError, TypeError, ValueError):
        return None


def ended_from(key: Key, body: dict[str, Any]) -> Ended:
    """The message about an end from an exit record. ValidationError when it is damaged."""
    known = {name: body[name] for name in Ended.model_fields if name in body}
    known["end_detail"] = str(body.get("end_detail", ""))[:MAX_TEXT]
    known["steps"] = body.get("steps", [])[:_MOST_STEPS]
    return Ended.model_validate({**known, "type": "ended", "job": key.job, "attempt": key.attempt})


def size_of(directory: Path) -> int:
    """Length of an attempt's log in bytes."""
    reader = SpoolReader(directory)
    try:
        return reader.size()
    finally:
        reader.close()


def discard(path: Path, trash: Path) -> None:
    """Move something into the trash of its disk, at once; it is deleted later. Idempotent."""
    with suppress(FileNotFoundError):
        trash.mkdir(mode=0o700, exist_ok=True)
        number = 0
        while True:
            try:
                rename(path, trash / f"{path.name}.{number}")
            except OSError as error:
                if isinstance(error, FileNotFoundError):
                    raise
                if not (trash / f"{path.name}.{number}").exists():
                    shutil.rmtree(path, ignore_errors=True)
                    return
                number += 1
            else:
                return
