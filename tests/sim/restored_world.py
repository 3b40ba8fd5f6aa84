"""A world in which now and then an older copy of the database is restored."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import messages_of
from remote_protocol.messages import Confirm
from remote_protocol.states import EndReason
from tests.sim.database import Content
from tests.sim.disk import ENDLESS
from tests.sim.host import Host
from tests.sim.world import CONFIRM, World

RESTORES, RESTORES_AT_STARTS = 0.15, 0.9
"""How many of the faults are copies made or put in place; more of them while jobs start, for what
starts on the way would be met too rarely."""


class Backup(NamedTuple):
    """A copy of the database, and of the logs beside it."""

    content: Content
    logs: dict[AttemptId, bytes]


class RestoredWorld(World):
    """What may have run since the copy was made is started by nobody, unless by a confirmation of
    before; and no attempt is killed for want of being known."""

    def __init__(self, rng: Random, agents: int = 2) -> None:
        self.backup: Backup | None = None
        self.restoring = False
        """A copy was put in place, and no server has started on it yet."""
        self.skipped: dict[str, int] = {}
        """Highest numbers that a former life may have given."""
        self.on_the_way: set[AttemptId] = set()
        """Attempts that were about to start when the copy was restored: their agents need to hear
        nothing more of a server."""
        super().__init__(rng, agents)

    def _of_former_life(self, key: AttemptId) -> bool:
        row = self.file.jobs.get(key.job)
        return (
            self.restoring
            or (row is not None and row.marked)
            or key.number <= self.skipped.get(key.job, 0)
        )

    def _began(self, agent: str, key: AttemptId) -> None:
        super()._began(agent, key)
        row = self.file.jobs.get(key.job)
        # Until a server starts on the copy, it does not say so itself.
        ends = self.restoring and not self.machine.run_restored
        if row is not None and (row.marked or (ends and not row.state.terminal)):
            assert key in self.on_the_way, f"{key} may have run, and is started again"
            self.seen["started on the way"] += 1

    def _confirms(self, key: AttemptId) -> None:
        row = self.file.jobs.get(key.job)
        assert row is None or not row.marked, f"{key} may have run, and is confirmed"
        super()._confirms(key)

    def _committed(self) -> None:
        if self.restoring and not self.file.is_copy:
            self.restoring = False
            if self.machine.run_restored:
                for job, row in self.file.jobs.items():
                    if not row.state.terminal:
                        self.skipped[job] = row.used
        super()._committed()

    def _fault(self, host: Host) -> None:
        launching = any(host.disk.launching for host in self._hosts)
        if self.rng.random() < (RESTORES_AT_STARTS if launching else RESTORES):
            if self.backup is None or self.rng.random() < (0.4 if launching else 0.5):
                logs = {key: bytes(log) for key, log in self.disk.logs.items()}
                self.backup = Backup(self.file.copy(), logs)
            else:
                self._restore(self.backup)
        else:
            super()._fault(host)

    def _restore(self, backup: Backup) -> None:
        run = self.machine.run_restored = self.rng.random() < 0.3
        self.seen["restore to run" if run else "restore"] += 1
        if self.server is not None:
            self.kill_server()
        self.file.restore(backup.content)
        self.file.mark_as_copy()
        self.restoring = True
        if self.rng.random() < 0.5:
            self.disk.logs = {key: bytearray(log) for key, log in backup.logs.items()}
        jobs, attempts = self.file.jobs, self.file.attempts
        ended = {job for job, row in jobs.items() if row.state.terminal}
        self.ends = {job: end for job, end in self.ends.items() if job in ended}
        self.finished = {key for key in self.finished if key in attempts and attempts[key].finished}
        self.on_the_way = {key for host in self._hosts for key in host.about_to_start}
        for wire in self.wires:
            for frame in wire.down:
                for text in messages_of(frame) if isinstance(frame, str) else ():
                    if text.startswith(CONFIRM):
                        self.on_the_way.add(Confirm.model_validate_json(text).attempt)

    def settle(self) -> None:
        for host in self._hosts:
            for key, place in host.disk.attempts.items():
                row = self.file.jobs.get(key.job)
                if row is not None and not row.marked and not self.restoring:
                    continue
                spec = place.offer.spec
                if (spec.name or "").startswith(ENDLESS) or spec.stdin:
                    # Nobody can cancel it any more, or send it more: it ends by itself.
                    place.stop = place.stop or EndReason.CANCELLED
        super().settle()
