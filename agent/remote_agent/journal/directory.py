"""One attempt's directory as the agent sees it: writing it, reading what it says.

Touches that directory and its work directory. `docs/attempt-directory.md` is the contract with
the shim, who writes all that concerns the run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from errno import EACCES, ENAMETOOLONG, EPERM
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from remote_agent.journal.spares import make_empty
from remote_agent.planning.order import encoded
from remote_agent.planning.paths import FOLDERS, JobPaths
from remote_agent.planning.work import WorkFile
from remote_agent.processes import (
    HOST_FAULTS,
    KEEP,
    READ,
    REPLACE,
    Folder,
    UnexpectedEntry,
    chown_tree,
    make_fifo,
    name_problem,
    open_file,
    remove_tree,
    rename,
    set_mode,
    sync,
)
from remote_agent.shim.layout import EXIT, KEY, MASK_FILE, ORDER, SETTLED, STARTED, VERSION
from remote_agent.shim.order import line_of
from remote_agent.shim.record import has_begun, read_bounded, read_record
from remote_agent.spool import LIVE, SpoolReader
from remote_protocol.attempt_id import AttemptId
from remote_protocol.limits import MAX_TEXT
from remote_protocol.messages import Ended, Offer, Phase

NEW: Final = ".new."
"""What the name of a directory begins with until it is complete."""
_NOT_UNDERSTOOD: Final = (
    "the outputs were left out: the agent does not understand what the shim has noted of them"
)
_WARNINGS: Final = ("outputs_warning", "artifacts_warning")
_SHOWN: Final = 200
_CLOSED: Final = frozenset({EACCES, EPERM})
_MOST_STEPS: Final = 200
_MOST_PIDS: Final = 1 << 31
_LATEST: Final = 1e11
_WRITTEN: Final = (ORDER, STARTED, EXIT, SETTLED)
_MOST_SHOWN: Final = 10
_LARGEST: Final = 1 << 26
"""Bytes of an order with its offer at the most: files and script are in it, escaped."""


class BrokenDirectory(Exception):
    """The directory holds no attempt that can be understood; the text is a sentence."""


class NumberUsed(Exception):
    """An attempt of this number has run here and was settled; the text is a sentence."""


class BadFile(Exception):
    """A file of the job cannot be put into its work directory; the text is a sentence."""


class StartRecord(NamedTuple):
    """What a shim noted when it had spawned the job; `at` is Unix time."""

    pid: int
    start_time: str
    shim_pid: int
    boot_id: str
    at: float
    cgroup: str | None
    mark: str = ""
    """That of the warm interpreter that it was forked from; empty: it was started."""


class AttemptRecord(NamedTuple):
    """One attempt as its directory tells it."""

    key: AttemptId
    offer: Offer | None
    """None when its directory was damaged."""
    phase: Phase
    size: int
    """Length of its log in bytes."""
    started: StartRecord | None
    ended: Ended | None
    """Set when the phase is `ended`; `lost` when the shim died before it could say."""


def write_directory(
    directory: str,
    order: Mapping[str, Any],
    offer: Offer,
    boot_id: str,
    paths: JobPaths,
    files: Iterable[WorkFile] = (),
    spare: str | None = None,
) -> None:
    """Make an attempt's directory, of an empty one if there is a `spare`, and its job's `files` at
    `paths`. `order`: the fields of its start order. OSError, BadFile: nothing of it is left.

    It gets its name when it is complete, so a crash of the agent leaves no half attempt behind.
    Nothing is forced to the disk: no attempt outlives its host, and that it was accepted stands
    elsewhere (`acceptances`).
    """
    new = _unfinished(directory) if spare is None else spare
    home = _unfinished(paths.folder) if paths.apart else new
    try:
        if spare is None:
            make_empty(new, paths.folders)
        if paths.apart:
            make_empty(home, FOLDERS)
        if not paths.inside:
            paths.work.mkdir(mode=0o700, parents=True)
        if order.get("mask_file") is not None:
            make_fifo(f"{home}{os.sep}{MASK_FILE}")
        for file in files:
            if file.content is not None:
                continue
            if file.own:
                _write(f"{home}{os.sep}{file.path}", file.data, file.mode)
            else:
                work = Path(home, paths.work.name) if paths.inside else paths.work
                _put_file(work, file)
        _write_order(new, order, offer, boot_id)
        if paths.apart:
            if order.get("uid") is not None:
                chown_tree(home, order["uid"], order["gid"])
            rename(home, paths.folder)
        rename(new, directory)
    except BaseException:
        for half in {new, home, paths.folder, paths.work_dir, directory}:
            with suppress(OSError):
                remove_tree(Path(half))
        raise


def _unfinished(folder: str) -> str:
    """The path of a folder that is not complete."""
    root, name = os.path.split(folder)
    return os.path.join(root, f"{NEW}{name}")


def _write_order(directory: str, order: Mapping[str, Any], offer: Offer, boot_id: str) -> None:
    body = b'{"v":%d,"boot_id":%s,"offer":{"attempt":"%s","serial":%d,"spec":%s}}\n' % (
        VERSION,
        encoded(boot_id),
        str(offer.attempt).encode(),
        offer.serial,
        offer.spec.given_json,
    )
    _write(f"{directory}{os.sep}{ORDER}", line_of(order, encoded) + body, 0o600, KEEP)


def _put_file(work: Path, file: WorkFile) -> None:
    target = work / file.path
    if problem := name_problem(file.path):
        raise BadFile(f"the job's file {file.path!r} cannot be put there: {problem}")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(target, file.data, file.mode)
    except (OSError, ValueError) as error:
        # What no host can be blamed for: a name that is too long, or another file in the way.
        if isinstance(error, OSError) and error.errno in HOST_FAULTS | _CLOSED:
            raise
        raise BadFile(_words(file.path, error)) from error


def _words(path: str, error: OSError | ValueError) -> str:
    shown = path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…"
    text = f"the job's file {shown!r} cannot be put into its work directory: "
    if isinstance(error, NotADirectoryError | IsADirectoryError | FileExistsError):
        return f"{text}{error.strerror}; another of its files is in the way"
    if isinstance(error, OSError) and error.errno == ENAMETOOLONG:
        return f"{text}{error.strerror}; most file systems allow 255 bytes between two slashes"
    return text + (getattr(error, "strerror", None) or str(error))


def _write(path: Path | str, data: bytes, mode: int, how: int = REPLACE) -> None:
    descriptor = open_file(path, how, 0o600)
    try:
        written = os.write(descriptor, data)
        while written < len(data):
            written += os.write(descriptor, memoryview(data)[written:])
        if mode != 0o600:
            set_mode(descriptor, mode)
    finally:
        os.close(descriptor)


class DirectoryContents(NamedTuple):
    """What lies in a directory, before it is judged. `begun` without `kept` and `exit`: dead."""

    offer: Offer
    boot_id: str
    begun: bool
    kept: bool
    started: StartRecord | None
    exit: dict[str, Any] | None
    damage: str = ""
    """What stands in the place of a record, in words; empty when nothing does."""
    order: dict[str, Any] = {}  # noqa: RUF012 - a field of a tuple, never changed
    """The start order as it was written."""


def read_directory(directory: Path) -> DirectoryContents | None:
    """Read an attempt's directory; None when it is settled.

    BrokenDirectory when it is none, FileNotFoundError when it is gone, OSError when the host
    does not let us look.
    """
    try:
        with Folder(directory) as folder:
            return _read(folder, directory.name)
    except OSError as error:
        if error.errno in HOST_FAULTS or isinstance(error, FileNotFoundError):
            raise
        what = error.filename if isinstance(error, UnexpectedEntry) else "it"
        raise BrokenDirectory(f"{what} cannot be opened: {error.strerror}") from None


def _read(folder: Folder, key: str) -> DirectoryContents | None:
    if folder.exists(SETTLED):
        return None
    order, offer, boot_id = _read_offer(folder)
    if order.get(KEY) != key:
        # The host has lost power before the new one was on the disk.
        raise BrokenDirectory(f"its {ORDER} is that of another attempt")
    begun = has_begun(folder)
    # The lock first: a shim writes its exit record before it lets go. It is never tested
    # before a shim has begun: the look itself holds the lock for a moment.
    kept = begun and folder.locked()
    damage: list[str] = []
    body, started = (_record(folder, name, damage, key) for name in (EXIT, STARTED))
    return DirectoryContents(
        offer, boot_id, begun, kept, _started(started), body, "; ".join(damage), order
    )


def _record(folder: Folder, name: str, damage: list[str], key: str) -> dict[str, Any] | None:
    try:
        return of_attempt(read_record(folder, name), key)
    except UnexpectedEntry as error:
        damage.append(f"{name}: {error.strerror}")
        return None


def of_attempt(record: dict[str, Any] | None, key: str) -> dict[str, Any] | None:
    """A record, unless it says that it is another attempt's: that one had this directory before,
    and the host has lost power after its record was removed."""
    return None if record is None or record.get(KEY, key) != key else record


def _read_offer(directory: Folder) -> tuple[dict[str, Any], Offer, str]:
    try:
        descriptor = directory.open(ORDER, READ)
    except FileNotFoundError:
        raise BrokenDirectory(f"there is no {ORDER} in it") from None
    first, _, second = read_bounded(descriptor, _LARGEST).partition(b"\n")
    try:
        order, body = json.loads(first), json.loads(second)
        return dict(order), Offer.model_validate(body["offer"]), str(body["boot_id"])
    except (ValueError, KeyError, TypeError, RecursionError, ValidationError) as error:
        words = str(error).splitlines()[0]
        raise BrokenDirectory(f"its {ORDER} is damaged ({words})") from None


def _started(body: dict[str, Any] | None) -> StartRecord | None:
    if body is None:
        return None
    try:
        started = StartRecord(
            pid=int(body["pid"]),
            start_time=str(body["start_time"]),
            shim_pid=int(body["shim_pid"]),
            boot_id=str(body["boot_id"]),
            at=float(body["at"]),
            cgroup=body.get("cgroup"),
            mark=str(body.get("mark", "")),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    # A record that its job has written must neither crash the agent nor have it signal anybody.
    pids = 1 < started.pid < _MOST_PIDS and 1 < started.shim_pid < _MOST_PIDS
    group = started.cgroup is None or isinstance(started.cgroup, str)
    return started if pids and group and 0 <= started.at < _LATEST else None


def ended_from(key: AttemptId, body: dict[str, Any]) -> Ended:
    """The message about an end from an exit record. ValidationError when it is damaged."""
    known = {name: body[name] for name in Ended.model_fields if name in body}
    known["end_detail"] = str(body.get("end_detail", ""))[:MAX_TEXT]
    steps = body.get("steps", [])
    known["steps"] = steps[:_MOST_STEPS] if isinstance(steps, list) else []
    for name in _WARNINGS:
        if name in known:
            known[name] = str(known[name])[:MAX_TEXT] or None
    known |= {"type": "ended", "attempt": key}
    try:
        return Ended.model_validate(known)
    except ValidationError:
        if not known.get("outputs"):
            raise
    # Those of a newer shim, perhaps: they are no reason to lose an attempt.
    known |= {"outputs": None, "outputs_warning": _NOT_UNDERSTOOD}
    return Ended.model_validate(known)


def damage_by_job(folder: Folder, names: list[str]) -> list[str]:
    """Which of these names in an attempt's directory stand for something else than its files: only
    its job can have put that there."""
    here = [name for name in _WRITTEN if name in names]
    plain = folder.sizes(_WRITTEN.__contains__, here)
    # What stood in the way of a record was given such a name (`Folder.clear`).
    moved = [name for name in names if name.startswith("odd.")]
    return [*(name for name in here if name not in plain), *moved][:_MOST_SHOWN]


def size_of(directory: Path) -> int:
    """Length of an attempt's log in bytes."""
    reader = SpoolReader(directory)
    try:
        return reader.size()
    finally:
        reader.close()


def sync_end(directory: Path) -> None:
    """Force an attempt's end to the disk, with all that is read of it after a restart of the host.
    OSError when the disk refuses; nothing for one that is gone."""
    with suppress(FileNotFoundError):
        for name in (ORDER, LIVE, EXIT):
            with suppress(FileNotFoundError):
                sync(directory / name)
        sync(directory)
        sync(directory.parent)


def is_kept(directory: Path) -> bool:
    """Whether a shim keeps this attempt now. For attempts that have begun."""
    try:
        with Folder(directory) as folder:
            return has_begun(folder) and folder.locked()
    except FileNotFoundError:
        return False
    except OSError:
        return True
