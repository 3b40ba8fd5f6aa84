"""The part of a task's program that is for DAG bundles which come with their tasks: it stands
before `run_task.py` where a deployment has some. Sent as text, it uses nothing of this package.

A bundle is unpacked once for each user and content, into `$AIRFLOW_HOME/remote-bundles`: whoever
can write there could change a task by `airflow.cfg` as well. A folder counts only with the file
`complete` beside it, written last, and of this boot: what a power cut left is not trusted. A task
shares the lock of its folder (flock(2)) while it lives; who unpacks or removes one has it alone.
"""

import hashlib
import json
import os
import shutil
import stat
from contextlib import suppress
from zipfile import ZipFile

KEPT = "remote-bundles"
locks: list[int] = []
"""Kept open for as long as the task lives."""


def unpack_bundle(name: str) -> None:
    """Have the task's DAG bundle be the one that came with the job, if one came."""
    folder = os.environ.get("REMOTE_WORK_DIR") or os.getcwd()
    archive = os.path.join(folder, ".airflow-bundle.zip")
    if not os.path.exists(archive):
        return
    most = int(os.environ.get("AIRFLOW__REMOTE__PUSH_CACHE") or 0)
    place = None
    if most > 0:
        # What cannot be shared here, for want of room, rights or locks, the task has for itself.
        with suppress(OSError, ImportError, AttributeError):
            place = shared(archive, most)
    if place is None:
        place = os.path.join(folder, ".airflow-bundle")
        unpack(archive, place, 0o644)
    os.remove(archive)
    bundle = {
        "name": name,
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": place},
    }
    os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps([bundle])


def unpack(archive: str, place: str, mode: int) -> None:
    """Its files, with this mode."""
    with ZipFile(archive) as packed:
        packed.extractall(place)
        for entry in packed.infolist():
            executable = entry.external_attr >> 16 & 0o100
            if executable or mode != 0o644:
                path = os.path.join(place, entry.filename)
                os.chmod(path, mode | 0o111 if executable else mode)


def shared(archive: str, most: int) -> str | None:
    """The folder that tasks of this user have of this content, locked; None where they can have
    none. OSError."""
    with ZipFile(archive) as packed:
        size = sum(entry.file_size for entry in packed.infolist())
    folder = own_folder()
    if folder is None or size > most:
        return None
    digest = digest_of(archive)
    place = os.path.join(folder, digest)
    boot = boot_id()
    lock = take(f"{place}.lock", alone=False)
    while not is_complete(place, boot):
        os.close(lock)
        lock = take(f"{place}.lock", alone=True)
        if not is_complete(place, boot):
            remove(place)
            # Read only: what one task would change, another one would run.
            unpack(archive, place, 0o444)
            with open(f"{place}.complete", "w", encoding="utf-8") as file:
                json.dump({"boot": boot, "size": size}, file)
            make_room(folder, most, digest)
        os.close(lock)
        lock = take(f"{place}.lock", alone=False)
    os.utime(f"{place}.complete")  # when it was used last
    locks.append(lock)
    return place


def digest_of(path: str) -> str:
    """The SHA-256 of a file."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            found.update(piece)
    return found.hexdigest()


def own_folder() -> str | None:
    """Where this user's are; None where others could put something there."""
    home = os.path.expanduser(os.environ.get("AIRFLOW_HOME") or "~/airflow")
    os.makedirs(home, exist_ok=True)
    folder = os.path.join(home, KEPT)
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found, user = os.lstat(folder), os.geteuid()
    if os.stat(home).st_uid != user or found.st_uid != user or not stat.S_ISDIR(found.st_mode):
        return None
    os.chmod(folder, 0o700)
    return folder


def take(path: str, *, alone: bool, wait: bool = True) -> int:
    """The lock at a path, of which nobody has removed the file meanwhile. OSError."""
    import fcntl

    kind = (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB)
    while True:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, kind)
            if os.path.exists(path) and os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)


def is_complete(place: str, boot: str) -> bool:
    """Whether all of it was unpacked since this host has started."""
    return bool(boot) and about(place).get("boot") == boot and os.path.isdir(place)


def about(place: str) -> dict:  # type: ignore[type-arg]
    """What stands beside a folder; nothing when it is not whole."""
    try:
        with open(f"{place}.complete", encoding="utf-8") as file:
            found = json.load(file)
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}


def boot_id() -> str:
    """Another one after each start of the host; empty where nothing says so."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def remove(place: str) -> None:
    """A folder and what says that it is whole, that first."""
    with suppress(FileNotFoundError):
        os.remove(f"{place}.complete")
    shutil.rmtree(place, ignore_errors=True)


def make_room(folder: str, most: int, newest: str) -> None:
    """Remove those that were used longest ago, beyond so many bytes; those in use stay."""
    found = []
    for name in os.listdir(folder):
        if name.endswith(".lock"):
            place = os.path.join(folder, name[: -len(".lock")])
            with suppress(OSError):
                used = os.stat(f"{place}.complete").st_mtime
                found.append((used, place, int(about(place).get("size", 0))))
                continue
            # Broken off, or of nobody.
            found.append((0.0, place, most))
    total = 0
    for _, place, size in sorted(found, reverse=True):
        total += size
        if total <= most or place.endswith(newest):
            continue
        with suppress(OSError):
            lock = take(f"{place}.lock", alone=True, wait=False)
            try:
                remove(place)
                os.remove(f"{place}.lock")
            finally:
                os.close(lock)
