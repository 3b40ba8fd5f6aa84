"""All attempts of this agent: kept durably, found again after any crash, forgotten when settled.

Touches `<state>/attempts`, `<state>/accepted`, the work directories, and, for attempts whose shim
died, what is left of their processes. Every call is short; deleting much at once is the janitor's,
piece by piece.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from remote_agent.config import Config
from remote_agent.journal.acceptances import Acceptances
from remote_agent.journal.artifacts import ArtifactFiles
from remote_agent.journal.containers import Containers
from remote_agent.journal.directory import (
    NEW,
    AttemptRecord,
    BadFile,
    BrokenDirectory,
    NumberUsed,
    StartRecord,
    is_kept,
    read_directory,
    size_of,
    sync_end,
    write_directory,
)
from remote_agent.journal.environments import EnvironmentCache
from remote_agent.journal.files import JobFiles
from remote_agent.journal.folder import ATTEMPTS, AttemptsFolder, open_directory, parse_key
from remote_agent.journal.inputs import InputFiles
from remote_agent.journal.losses import (
    RESTARTED,
    Losses,
    refused_start,
    without_directory,
    write_end,
)
from remote_agent.journal.secret_folders import SecretFolders
from remote_agent.journal.settled import SettledLog, SettledLogs, leave_log
from remote_agent.journal.spares import SpareDirectories
from remote_agent.journal.trash import Trash
from remote_agent.journal.users import Users
from remote_agent.planning import kinds
from remote_agent.planning.order import HostContext, make_order, terms_of
from remote_agent.planning.paths import FOLDERS, JobPaths
from remote_agent.planning.work import Interpreter, Work
from remote_agent.processes import SCARCE, Account, Folder, boot_id
from remote_agent.shim.layout import ARTIFACT_LIST, EXIT, SETTLED
from remote_agent.spool import SpoolReader
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Offer, Phase
from remote_protocol.spec import JobSpec

log = structlog.get_logger("journal")


class Journal:
    """The attempts of one agent on this `host`, whose jobs are these `users`."""

    def __init__(self, config: Config, host: HostContext, users: Users | None = None) -> None:
        self._config = config
        self._host = host
        self.users = users or Users(config.jobs)
        """Whom jobs run as."""
        self.containers = Containers(host.engine)
        self._boot_id = boot_id()
        self._root = config.state_dir / ATTEMPTS
        self._folder = AttemptsFolder(self._root)
        self._prefix = f"{self._root}{os.sep}"
        self.unaccepted: set[AttemptId] = set()
        """Stored attempts that have not begun, and of which the disk may not know yet."""
        self._accepted = Acceptances(config.state_dir, self._boot_id)
        self.inputs = InputFiles(self.path, config.limits.min_free_disk // 2)
        self._trash = Trash(self._root)
        self._secrets = SecretFolders(host.secret_prefix)
        self.files = JobFiles(config, self._root, self.users.separate)
        """Where jobs have theirs."""
        self.environments = EnvironmentCache(config.state_dir)
        """Those prepared for Python jobs."""
        self._spares = SpareDirectories(self._root, self.files.folders)
        self.artifacts = ArtifactFiles(self.path, self.files, self.users, self._trash)
        """Those that are to be sent."""
        self.on_interpreter: Callable[[AttemptId, Interpreter], None] = _nobody
        """Hears which warm interpreter an attempt that is being stored would be forked from."""
        self._logs = SettledLogs(self._root, self._folder)
        self._losses = Losses(
            self._folder, self.users, self.containers, self._secrets, self._boot_id
        )
        self.adjust(config)

    def adjust(self, config: Config) -> None:
        """The configuration was read again: it holds for attempts that are stored from now on."""
        self._config, self._terms = config, terms_of(config, self._host)
        self._losses.durable = self._durable
        self.inputs.reserve = config.limits.min_free_disk // 2
        self.files.adjust(config)
        if self._spares.folders != self.files.folders:
            self._spares.drop(self.files.folders)

    def prepare(self) -> None:
        """Make what the next offers need while there is time. OSError when the disk refuses."""
        self._spares.fill()

    def mend(self) -> bool:
        """Open the folders of all attempts to ourselves; whether a job had closed them."""
        return self._folder.mend()

    def probe(self) -> None:
        """Do with the disk what attempts need of it. OSError when it refuses."""
        self._folder.probe()
        if self._durable:
            self._accepted.probe()

    @property
    def _durable(self) -> bool:
        return self._config.agent.durability == "full"

    def path(self, key: AttemptId) -> Path:
        """The directory of an attempt."""
        return Path(self.directory(key))

    def directory(self, key: AttemptId) -> str:
        """Its path, as text: a `Path` costs more than most of what is done with it."""
        return f"{self._prefix}{key}"

    def spool(self, key: AttemptId) -> SpoolReader:
        """A reader of an attempt's log."""
        return SpoolReader(self.path(key))

    # Store --------------------------------------------------------------------------------------

    def store(self, offer: Offer) -> None:
        """Write an attempt's directory, ready for its shim; if it is one of the `unaccepted` then,
        it must not start before `accept` and `force`. OSError: nothing of it is left. NumberUsed:
        it has run here."""
        key = offer.attempt
        directory = self.directory(key)
        # Asked without an exception: a `stat` of what is not there makes one, of every attempt.
        if os.access(directory, os.F_OK):
            self._make_way(key, Path(directory))
        elif os.access(self._logs.path(str(key)), os.F_OK):
            raise _used(key)
        try:
            self._write(directory, offer, self.users.take(key))
        except BaseException:
            self.users.release(key)
            raise
        if self._durable:
            self.unaccepted.add(key)

    def accept(self, keys: Collection[AttemptId]) -> None:
        """Write down that these of the `unaccepted` are accepted: the disk keeps it when `force`
        has returned. OSError: they must not start."""
        self.unaccepted.difference_update(keys)
        self._accepted.add(keys)

    def force(self) -> None:
        """Force to the disk what was written down; may run in a thread. OSError when that
        refuses."""
        self._accepted.force()

    def renew_acceptances(self) -> None:
        """Look after what says which attempts are accepted, whatever somebody has done to it.
        OSError when the disk refuses."""
        self._accepted.renew()

    def _make_way(self, key: AttemptId, directory: Path) -> None:
        """Something has an attempt's name already."""
        if (directory / SETTLED).exists():
            if (directory / EXIT).exists():
                raise _used(key)
            # Withdrawn and over long ago; the same number was given again (it never ran).
            self._trash.take(directory)
        if os.path.lexists(directory):
            raise FileExistsError(17, "the attempt is in this agent's journal already", str(key))

    def _write(self, directory: str, offer: Offer, user: Account | None) -> None:
        paths = self.files.paths(directory)
        work = kinds.plan(offer.spec, paths, self._config, self._host.engine)
        order = make_order(offer, work, paths, self._terms, user)
        try:
            spare = self._spares.take(str(offer.attempt))
            write_directory(directory, order, offer, self._boot_id, paths, work.files, spare)
            if work.interpreter is not None:
                self.on_interpreter(offer.attempt, work.interpreter)
        except BadFile as error:
            # The job can never start: it is accepted, and it has ended already.
            bare = offer.spec.model_copy(update={"files": []})
            offer = offer.model_copy(update={"spec": bare})
            write_directory(directory, order, offer, self._boot_id, paths)
            write_end(Path(directory), refused_start(str(error)), self._durable)

    def planned(self, key: AttemptId, spec: JobSpec) -> tuple[JobPaths, Work]:
        """Where an attempt's job has its files, and what its planner makes of it."""
        paths = self.files.paths(self.directory(key))
        return paths, kinds.plan(spec, paths, self._config, self._host.engine)

    # Find again ---------------------------------------------------------------------------------

    def scan(self) -> list[AttemptRecord]:
        """Every attempt that is not settled, by job and number. Never fails for one bad directory:
        that is moved aside, its attempt is lost, and the log says so. OSError when the host is
        short of what any look needs."""
        found = []
        names = self._folder.names()
        self._accepted.keep(names)
        for name in sorted({*names, *map(str, self._accepted.former)}):
            if name.startswith(NEW):
                self._trash.take(self._root / name)
            if name.startswith("."):
                continue
            key = parse_key(name)
            if key is None:
                self._folder.set_aside(name, "its name is none of an attempt")
                continue
            try:
                record = self.look(key)
            except OSError as error:
                if error.errno in SCARCE:
                    raise
                path = str(self._root / name)
                log.error("an attempt cannot be read", path=path, reason=error.strerror)
                continue
            if record is not None:
                found.append(record)
                if record.phase is Phase.ACCEPTED and self._durable:
                    # The former agent may have been killed before it had forced that.
                    self.unaccepted.add(key)
            elif (self._root / name / ARTIFACT_LIST).exists():
                self.artifacts.find(key)
        held = {str(record.key) for record in found}
        self.files.clear(held.union(map(str, self.artifacts.pending)))
        self._secrets.sweep([record.key for record in found if record.ended is None])
        return found

    def kill_rest(self, key: AttemptId, started: StartRecord | None) -> int:
        """Kill what is left of an attempt's job, and remove its secrets; how many processes."""
        return self._losses.kill_rest(key, started)

    def look(self, key: AttemptId, again: bool = True) -> AttemptRecord | None:
        """What the disk says about an attempt; None when there is none, or it is settled.

        One whose shim died is ended here: what it left is killed, and the record says `lost`. So
        is one whose directory is damaged, after another try if `again`, and one whose directory was
        not yet on the disk when the host lost power. OSError when the host does not let us look.
        """
        directory = self.path(key)
        try:
            reading = read_directory(directory)
        except FileNotFoundError:
            return self._lost_with_host(key) if key in self._accepted.former else None
        except BrokenDirectory as error:
            if key in self._accepted.former:
                self._trash.take(directory)
                return self._lost_with_host(key)
            if again and self.mend():
                return self.look(key, again=False)
            return self.abandon(key, str(error))
        if reading is None:
            self._accepted.remove(key)
            return None
        if reading.order.get("exclusive_user") and isinstance(uid := reading.order.get("uid"), int):
            self.users.hold(key, uid)
        ended, phase = None, Phase.RUNNING
        if reading.exit is not None:
            ended = self._losses.trust(key, directory, reading)
        elif not reading.kept and (reading.begun or reading.boot_id != self._boot_id):
            ended = self._losses.record(key, directory, reading)
        elif not reading.begun:
            phase = Phase.ACCEPTED
        if ended is not None:
            return AttemptRecord(
                key, reading.offer, Phase.ENDED, ended.size, reading.started, ended
            )
        size = size_of(directory) if reading.begun else 0
        return AttemptRecord(key, reading.offer, phase, size, reading.started, None)

    def _lost_with_host(self, key: AttemptId) -> AttemptRecord:
        log.warning(
            "of an attempt accepted before the host restarted nothing is left", attempt=str(key)
        )
        return without_directory(key, RESTARTED)

    def abandon(self, key: AttemptId, reason: str) -> AttemptRecord:
        """Give up an attempt whose directory is damaged: kill what runs of it, set it aside."""
        return self._losses.abandon(key, self.path(key), reason)

    def sync(self, key: AttemptId) -> None:
        """Force the end of an attempt to the disk, unless durability says it need not be.

        OSError when the disk refuses; nothing for an attempt that is settled already.
        """
        if self._durable:
            sync_end(self.path(key))

    def lives(self, key: AttemptId) -> bool:
        """Whether a shim keeps this attempt now. For attempts that have begun."""
        return is_kept(self.path(key))

    # Forget -------------------------------------------------------------------------------------

    def settle(self, key: AttemptId) -> None:
        """The server needs nothing more of an attempt: only its log stays, until retention.

        Without a log nothing stays. Idempotent; OSError when the disk does not let it.
        """
        directory = self.directory(key)
        self.unaccepted.discard(key)
        self.inputs.forget(key)
        # Looked up once: processes of the agent's own user may put something else there meanwhile.
        folder = None
        with suppress(FileNotFoundError):
            folder = open_directory(directory)
            if folder is None:
                self._trash.take(Path(directory))
        try:
            self._settle(key, directory, folder)
        finally:
            if folder is not None:
                folder.close()
        self._accepted.remove(key)

    def _settle(self, key: AttemptId, directory: str, folder: Folder | None) -> None:
        log_path = self._logs.path(str(key))
        kept = folder is not None and self._spares.keep(directory, folder, log_path)
        if folder is not None and not kept and folder.exists(ARTIFACT_LIST):
            self.artifacts.settle(key, folder)
            return
        if not kept or self._spares.folders != FOLDERS:
            self.files.discard(key)
        self.users.release(key)
        if folder is None or kept or leave_log(key, folder):
            return
        if folder.is_at(directory):
            self._trash.take(Path(directory))

    def kept(self) -> Iterator[SettledLog]:
        """The settled attempts whose logs are still here, in no order. One that cannot be read is
        reported, and hides no other."""
        return self._logs.find()

    def remove(self, key: AttemptId) -> None:
        """Take an attempt's directory away, log and all; its disk space comes back with `purge`."""
        self.artifacts.drop(key)
        self.files.discard(key)
        self._trash.take(self.path(key))
        self._trash.take(Path(self._logs.path(str(key))))

    def purge(self, most: int) -> int:
        """Delete up to so many entries of the trash; returns how many. Slow: call it often, with
        little, or in a thread."""
        done = self._trash.purge(most)
        return done + self.files.purge(most - done)


def _used(key: AttemptId) -> NumberUsed:
    # Its log is evidence, and a number stands for one execution (I1).
    return NumberUsed(f"attempt {key} has run on this host and was settled")


def _nobody(key: AttemptId, interpreter: Interpreter) -> None:
    """Without anybody who keeps interpreters, jobs start without one."""
