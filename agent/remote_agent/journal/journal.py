"""All attempts of this agent: kept durably, found again after any crash, forgotten when settled.

Touches `<state>/attempts`, the work directories, and, for attempts whose shim died, what is left
of their processes. Every call is short; deleting much at once is the janitor's, piece by piece.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import structlog
from pydantic import ValidationError

from remote_agent.config import Config
from remote_agent.journal.directory import (
    NEW,
    BadFile,
    BrokenDirectory,
    NumberUsed,
    Reading,
    Record,
    discard,
    ended_from,
    read_directory,
    size_of,
    write_directory,
)
from remote_agent.journal.ledger import Ledger
from remote_agent.journal.plan import make_order, work_directory
from remote_agent.journal.spares import Spares
from remote_agent.processes import SCRIPT_ENDINGS, Folder, boot_id, kill_marked, rename, sync
from remote_agent.processes.cgroup import Group
from remote_agent.session.events import Key
from remote_agent.shim.layout import EXIT, ORDER, SCRIPT, SETTLED, STARTED
from remote_agent.shim.record import mark_begun, write_record
from remote_agent.spool import LIVE, SpoolError, SpoolReader
from remote_protocol.ids import ulid_to_bytes
from remote_protocol.messages import Ended, Offer, Phase
from remote_protocol.states import EndReason

log = structlog.get_logger("journal")

ATTEMPTS: Final = "attempts"
_TRASH: Final = ".trash"
_BROKEN: Final = ".broken"


class Kept(NamedTuple):
    """A settled attempt whose log is still here: when it was settled, its size on the disk."""

    key: Key
    settled_at: float
    size: int


class Journal:
    """The attempts of one agent. `cgroup` is a group delegated to it, below which jobs may go."""

    def __init__(self, config: Config, agent: str, cgroup: str | None = None) -> None:
        self._config = config
        self._agent = agent
        self._cgroup = cgroup
        self._boot_id = boot_id()
        self._root = config.state_dir / ATTEMPTS
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.ledger = Ledger(config.state_dir)
        self._spares = Spares(self._root, inside=config.agent.work_dir is None)

    def adjust(self, config: Config) -> None:
        """The configuration was read again: it holds for attempts that are stored from now on."""
        self._config = config
        if self._spares.inside != (config.agent.work_dir is None):
            self._spares.drop(inside=config.agent.work_dir is None)

    def prepare(self) -> None:
        """Make what the next offers need while there is time. OSError when the disk refuses."""
        self._spares.fill()

    def path(self, key: Key) -> Path:
        """The directory of an attempt."""
        return self._root / str(key)

    def spool(self, key: Key) -> SpoolReader:
        """A reader of an attempt's log."""
        return SpoolReader(self.path(key))

    # Store --------------------------------------------------------------------------------------

    def store(self, offer: Offer) -> None:
        """Make an attempt durable, ready for its shim (I4). OSError: nothing of it is left.
        NumberUsed: it has run here."""
        key = Key(offer.job, offer.attempt)
        directory = self.path(key)
        if (directory / SETTLED).exists():
            if (directory / EXIT).exists():
                # Its log is evidence, and a number stands for one execution (I1).
                raise NumberUsed(f"attempt {key} has run on this host and was settled")
            # Withdrawn and over long ago; the same number was given again (it never ran).
            discard(directory, self._root / _TRASH)
        if directory.exists():
            raise FileExistsError(17, "the attempt is in this agent's journal already", str(key))
        work = self._work(key)
        order = make_order(offer, directory, self._config, self._agent, os.environ, self._cgroup)
        try:
            spare = self._spares.take()
            write_directory(directory, order, offer, self._boot_id, work, spare)
        except BadFile as error:
            # The job can never start: it is accepted, and it has ended already.
            bare = offer.spec.model_copy(update={"files": []})
            offer = offer.model_copy(update={"spec": bare})
            write_directory(directory, order, offer, self._boot_id, work)
            self._write_exit(
                directory,
                {
                    "exit_code": 126,
                    "end_reason": EndReason.SPAWN_ERROR.value,
                    "end_detail": str(error),
                    "size": 0,
                    "checksum": 0,
                    "ended_at": time.time(),
                },
            )

    def _work(self, key: Key) -> Path:
        return work_directory(self.path(key), self._config.agent.work_dir)

    # Find again ---------------------------------------------------------------------------------

    def scan(self) -> list[Record]:
        """Every attempt that is not settled, by job and number. Never fails for one bad directory:
        that is moved aside, and the log says so."""
        found = []
        for name in sorted(os.listdir(self._root)):
            if name.startswith(NEW):
                shutil.rmtree(self._root / name, ignore_errors=True)
            if name.startswith("."):
                continue
            key = parse_key(name)
            if key is None:
                self._set_aside(name, "its name is none of an attempt")
            elif not (self._root / name / SETTLED).exists():
                with suppress(FileNotFoundError):
                    record = self.look(key)
                    if record is not None:
                        found.append(record)
        return found

    def look(self, key: Key) -> Record | None:
        """What the disk says about an attempt; None when there is none, or it is settled or broken.

        One whose shim died is ended here: what it left is killed, and the record says `lost`.
        """
        directory = self.path(key)
        if (directory / SETTLED).exists():
            return None
        try:
            reading = read_directory(directory)
        except FileNotFoundError:
            return None
        except (BrokenDirectory, NotADirectoryError) as error:
            self._set_aside(directory.name, str(error))
            return None
        ended, phase = None, Phase.RUNNING
        if reading.exit is not None:
            ended = self._believe(key, reading)
        elif not reading.kept and (reading.begun or reading.boot_id != self._boot_id):
            ended = self._bury(key, reading)
        elif not reading.begun:
            phase = Phase.ACCEPTED
        if ended is not None:
            return Record(key, reading.offer, Phase.ENDED, ended.size, reading.started, ended)
        size = size_of(directory) if reading.begun else 0
        return Record(key, reading.offer, phase, size, reading.started, None)

    def _believe(self, key: Key, reading: Reading) -> Ended:
        """The end as its record tells it, unless a power loss took a part of the log."""
        assert reading.exit is not None
        try:
            ended = ended_from(key, reading.exit)
        except ValidationError:
            return self._bury(key, reading)
        rebooted = reading.boot_id != self._boot_id
        if rebooted and size_of(self.path(key)) < ended.size:
            return self._bury(key, reading)
        return ended

    def _bury(self, key: Key, reading: Reading) -> Ended:
        """Record the loss of an attempt whose shim is dead, after killing what is left of it."""
        directory = self.path(key)
        started = reading.started
        rebooted = (started.boot_id if started else reading.boot_id) != self._boot_id
        killed = 0
        if not rebooted:
            if started is not None and started.cgroup is not None:
                group = Group(started.cgroup)
                group.kill()
                group.remove(limit=0.1)
            marks = {"REMOTE_JOB_ID": key.job, "REMOTE_ATTEMPT": str(key.attempt)}
            killed = kill_marked(marks, started.pid if started else 0)
        detail = "the host restarted" if rebooted else "the shim died"
        if killed:
            detail += f"; {killed} processes of the job were killed"
        spool = SpoolReader(directory)
        try:
            size, checksum = spool.size(), spool.checksum()
        except SpoolError as error:
            log.error("a log is incomplete", attempt=str(key), reason=str(error))
            size, checksum = spool.size(), 0
        finally:
            spool.close()
        body = {
            "exit_code": None,
            "end_reason": EndReason.LOST.value,
            "end_detail": detail,
            "size": size,
            "checksum": checksum,
            "started_at": started.at if started else None,
            "ended_at": time.time(),
        }
        log.warning("an attempt is lost", attempt=str(key), reason=detail)
        # On a full disk the record is made again at the next look; nothing is lost by that.
        with suppress(OSError):
            self._write_exit(directory, body)
        return ended_from(key, body)

    def _write_exit(self, directory: Path, body: dict[str, Any]) -> None:
        with Folder(directory) as folder:
            with suppress(FileExistsError):
                os.close(mark_begun(folder))
            write_record(folder, EXIT, body, self._config.agent.durability == "full")

    def _set_aside(self, name: str, reason: str) -> None:
        target = self._root / _BROKEN / f"{name}.{time.time_ns()}"
        log.error("this is no attempt; it was moved aside", entry=name, to=str(target), why=reason)
        try:
            target.parent.mkdir(mode=0o700, exist_ok=True)
            rename(self._root / name, target)
        except OSError as error:
            log.error("it cannot be moved", entry=name, reason=error.strerror)

    def sync(self, key: Key) -> None:
        """Force the end of an attempt to the disk, unless durability says it need not be.

        OSError when the disk refuses; nothing for an attempt that is settled already.
        """
        if self._config.agent.durability != "full":
            return
        directory = self.path(key)
        with suppress(FileNotFoundError):
            for name in (LIVE, EXIT):
                with suppress(FileNotFoundError):
                    sync(directory / name)
            sync(directory)

    # Forget -------------------------------------------------------------------------------------

    def settle(self, key: Key) -> None:
        """The server needs nothing more of an attempt: only its log stays, until retention.

        Without a log nothing stays. Idempotent; OSError when the disk does not let it.
        """
        directory = self.path(key)
        if self._spares.keep(directory):
            if not self._spares.inside:
                self._discard_work(key)
            return
        self._discard_work(key)
        try:
            empty = not any(name.startswith("output.") for name in os.listdir(directory))
        except FileNotFoundError:
            return
        if empty:
            discard(directory, self._root / _TRASH)
            return
        try:
            # A rename costs a third of making a file, and this happens to every attempt.
            rename(directory / STARTED, directory / SETTLED)
        except FileNotFoundError:
            (directory / SETTLED).touch(mode=0o600)
        os.utime(directory / SETTLED)
        for name in (ORDER, *(f"{SCRIPT}{ending}" for ending in SCRIPT_ENDINGS)):
            with suppress(FileNotFoundError):
                (directory / name).unlink()

    def _discard_work(self, key: Key) -> None:
        work = self._work(key)
        try:
            work.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            outside = self._config.agent.work_dir
            discard(work, (outside or self._root) / _TRASH)

    def kept(self) -> Iterator[Kept]:
        """The settled attempts whose logs are still here, in no order."""
        for name in os.listdir(self._root):
            key = parse_key(name)
            if key is None:
                continue
            with suppress(FileNotFoundError):
                at = (self._root / name / SETTLED).stat().st_mtime
                yield Kept(key, at, self.spool(key).disk_usage())

    def remove(self, key: Key) -> None:
        """Take an attempt's directory away, log and all; its disk space comes back with `purge`."""
        self._discard_work(key)
        discard(self.path(key), self._root / _TRASH)

    def purge(self, most: int) -> int:
        """Delete up to so many entries of the trash; returns how many. Slow: call it often, with
        little, or in a thread."""
        done = 0
        roots = {self._root, self._config.agent.work_dir or self._root}
        for trash in (root / _TRASH for root in roots):
            with suppress(FileNotFoundError):
                for entry in os.scandir(trash):
                    if done >= most:
                        return done
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path, ignore_errors=True)
                    else:
                        os.unlink(entry.path)
                    done += 1
        return done


def parse_key(name: str) -> Key | None:
    """The attempt that a directory's name means; None for other names."""
    job, _, number = name.partition(".")
    try:
        ulid_to_bytes(job)
    except ValueError:
        return None
    if not number.isdecimal() or str(int(number)) != number or not 1 <= int(number) < 1 << 32:
        return None
    return Key(job, int(number))
