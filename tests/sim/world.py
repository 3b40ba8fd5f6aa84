"""A world of simulated hosts and one server, whose every step is drawn at random."""

from __future__ import annotations

import zlib
from collections import Counter
from random import Random

from remote_protocol.attempt_id import AttemptId
from remote_protocol.ids import make_ulid
from remote_protocol.messages import Confirm
from remote_protocol.spec import JobSpec, OnDisconnect, OnReturn
from remote_protocol.states import AttemptState, EndReason
from remote_server.domain.events import Finished
from remote_server.domain.log_receiver import MOST_MISMATCHES
from tests.sim.database import RAN, Database, JobRow
from tests.sim.disk import ENDLESS, IDLE, Directory, Judge
from tests.sim.host import Host
from tests.sim.hub import Hub
from tests.sim.inputs import SentInput
from tests.sim.wire import Link

SETTLING_ROUNDS = 400
LONGEST_ROUND = 5000
RESTORES = 0.15
FAULTS = (
    "cut",
    "cut",
    "cut",
    "freeze",
    "kill agent",
    "kill server",
    "stop agent",
    "minute",
    "pause",
    "disk full",
    "damage",
    "trim",
    "no database",
    "no log files",
)


class World:
    """Everything there is. Its invariants are asserted while it runs."""

    def __init__(self, rng: Random, agents: int = 2) -> None:
        self.rng = rng
        self.now = 1000.0
        self.counter = 0
        self.starts: Counter[AttemptId] = Counter()
        self.ends: dict[str, tuple[str, str]] = {}
        self.seen: Counter[str] = Counter()
        self.damages: Counter[AttemptId] = Counter()
        self.pace = rng.choice([0.02, 0.4, 3.0])
        self.trouble = rng.choice([0.01, 0.03, 0.1])
        self.db = Database(self._finished)
        self.epochs: dict[str, int] = {}
        self.server: Hub | None = None
        self.links: list[Link] = []
        judge = Judge(self._began, self._forgotten, self._fed, zlib.crc32, self.seen)
        self.hosts = {f"a{n}": Host(f"a{n}", rng, judge) for n in range(agents)}
        self._start_server()

    # Invariants --------------------------------------------------------------------------------

    def _began(self, agent: str, held: AttemptId) -> None:
        key = AttemptId(*held)
        self.starts[key] += 1
        assert self.starts[key] == 1, f"I1: attempt {key} was started twice"
        assert key in self.db.confirmed
        if key.job not in self.db.jobs or self.db.of_former_life(key):
            # Confirmed by a former life of the database.
            return
        row = self.db.attempts[key]
        assert row.agent == agent, f"{key} starts on {agent}, but was given to {row.agent}"
        assert row.state is not AttemptState.OFFERED, "it starts before its acceptance is committed"
        assert row.state is not AttemptState.WITHDRAWN
        most = self.db.jobs[key.job].spec.max_attempts
        # A restored database counts what it knows to have run.
        rows = self.db.attempts
        ran = [k for k in self.starts if k.job == key.job and k in rows and rows[k].state in RAN]
        assert len(ran) <= most

    def _finished(self, agent: str, change: Finished) -> None:
        key = change.key
        place = self.hosts[agent].disk.attempts.get(key)
        assert place is not None, "I4: forgotten before its end was committed"
        log = bytes(self.db.logs.get(key, b""))
        if change.torn:
            self.seen["torn"] += 1
            lost = place.first > 0 or self.damages[key] >= MOST_MISMATCHES
            assert lost, "given up although all of it could be sent again"
            assert len(log) >= len(place.spool)
        else:
            assert bytes(place.spool) == log, "the log differs"

    def _forgotten(self, agent: str, key: AttemptId, place: Directory) -> None:
        row = self.db.attempts.get(AttemptId(*key))
        if row is None or self.db.of_former_life(key):
            # Settled by a former life of the database, or left alone until its end.
            return
        held = row.agent == agent and row.state in (AttemptState.ACCEPTED, AttemptState.RUNNING)
        assert not held, f"I4: {agent} forgets {key}, which is {row.state}"
        assert place.ended is not None or not place.begun, f"{key} runs and is forgotten"

    def _fed(self, key: AttemptId, place: Directory) -> None:
        whole = self.db.inputs[key.job].whole
        assert whole.startswith(place.input), f"the input of {key} differs from what was sent"
        assert place.whole in (None, len(whole)), f"{key} takes a cut of its input for its end"

    def check(self) -> None:
        for host in self.hosts.values():
            host.check()
        for job, row in self.db.jobs.items():
            if row.state.terminal:
                end = (row.state, row.reason)
                assert self.ends.setdefault(job, end) == end, "I3: a terminal state changed"
            else:
                assert job not in self.ends, "I3: a job ended and lives on"

    # Server ------------------------------------------------------------------------------------

    def _start_server(self) -> None:
        self.server = Hub(self.db, self.rng, self.epochs, self.seen)
        self.server.now = self.server.started_at = self.now

    def kill_server(self) -> None:
        assert self.server is not None
        for link, _ in self.server.links.values():
            link.up.clear()
            if self.rng.random() < 0.7:
                link.close_by_server()
            link.cut(self.rng)
        self.server = None

    # Steps -------------------------------------------------------------------------------------

    def ulid(self) -> str:
        self.counter += 1
        return make_ulid(self.counter, b"0123456789")

    def submit(self) -> None:
        rng = self.rng
        policy = OnDisconnect(
            lost_after=rng.choice([35.0, 600.0]),
            stop_after=rng.choice([None, None, 25.0]),
            on_return=rng.choice(list(OnReturn)),
        )
        spec = JobSpec.model_construct(
            name=rng.choice([None, None, None, None, IDLE, ENDLESS]),
            command=["x"],
            max_attempts=rng.randint(1, 3),
            retry_backoff=1.0,
            on_disconnect=policy,
            stdin=rng.random() < 0.4,
        )
        job = self.ulid()
        self.db.jobs[job] = JobRow(spec)
        if spec.stdin:
            self.db.inputs[job] = SentInput(rng.randbytes(rng.choice([0, 1, 40, 200])))

    def send_input(self) -> bool:
        """The sender of some input has the server take more of it."""
        open_jobs = [job for job, sent in self.db.inputs.items() if not sent.ended]
        if self.server is None or not self.server.files_work or not open_jobs:
            return False
        job = self.rng.choice(open_jobs)
        self.db.inputs[job].send(self.rng)
        self.server.input_changed(job)
        return True

    def connect(self, host: Host) -> bool:
        if host.link is not None or not host.acts or self.server is None:
            return False
        link = Link(host.name)
        self.links.append(link)
        self.server.connect(link)
        host.connect(link, self.ulid())
        return True

    def _set_clocks(self, passed: float) -> None:
        self.now += passed
        for host in self.hosts.values():
            host.now = self.now
        if self.server:
            self.server.now = self.now

    def step(self) -> None:
        """One random thing happens."""
        rng = self.rng
        self._set_clocks(rng.random() * self.pace)
        host = rng.choice([*self.hosts.values()])
        draw = rng.random()
        if draw < self.trouble:
            self._fault(host)
        elif draw < self.trouble * 2:
            self._repair(host, rng.random())
        elif draw < self.trouble * 2 + 0.15:
            self._loops(host, rng.random())
        else:
            self._progress(host)
        self.check()

    def _progress(self, host: Host) -> None:
        """Something that is under way goes on by one step."""
        for _ in range(8):
            if self._go_on(host, self.rng.random()):
                return
            host = self.rng.choice([*self.hosts.values()])

    def _go_on(self, host: Host, draw: float) -> bool:
        server = self.server
        if draw < 0.15:
            return host.disk.launch()
        if draw < 0.35:
            return host.disk.work(finish=0.1)
        if draw < 0.65 and host.acts:
            return self.rng.choice([host.read, host.read, host.store, host.upload, host.scan])()
        if draw < 0.65 or server is None:
            return False
        if draw < 0.69:
            return self.send_input() or server.send_input(host.name)
        if draw < 0.73:
            return server.send_input(host.name)
        if draw < 0.79:
            return server.read(host.name)
        if draw < 0.88:
            return server.flush()
        if draw < 0.94:
            return server.verify(zlib.crc32)
        return server.dispatch()

    def _loops(self, host: Host, draw: float) -> None:
        if draw < 0.25:
            if host.acts:
                host.tick()
        elif draw < 0.5:
            self.connect(host)
        elif draw < 0.6 and self.server:
            self.server.tick()
        elif draw < 0.75 and self.server:
            self.server.sweep()
        elif draw < 0.9:
            self.submit()
        elif self.db.jobs and self.server:
            self.server.cancel(self.rng.choice([*self.db.jobs]))

    def _fault(self, host: Host) -> None:
        kind = self.rng.choice(FAULTS)
        self.seen[kind] += 1
        rng, server = self.rng, self.server
        if kind == "cut" and host.link:
            host.link.cut(rng)
        elif kind == "freeze" and host.link:
            host.link.frozen = not host.link.broken
        elif kind == "kill agent" and host.alive:
            host.crash()
        elif kind == "kill server" and server:
            self.kill_server()
        elif kind == "stop agent":
            host.stopped = True
        elif kind == "minute":
            self._set_clocks(rng.random() * 60)
        elif kind == "pause" and host.acts:
            host.pause(rng.random() < 0.5)
        elif kind == "disk full":
            host.disk.full = True
        elif kind == "damage" and self.db.logs:
            self._damage_log()
        elif kind == "trim" and host.acts and host.disk.attempts:
            host.trim(rng.choice([*host.disk.attempts]))
        elif kind == "no database" and server:
            server.store_works = False
        elif kind == "no log files" and server:
            server.files_work = False

    def _repair(self, host: Host, draw: float) -> None:
        if draw < 0.2 and not host.alive:
            host.restart()
        elif draw < 0.4 and not self.server:
            self._start_server()
        elif draw < 0.6:
            host.stopped = host.disk.full = False
        elif draw < 0.8:
            if self.server and not (self.server.store_works and self.server.files_work):
                self.server.recover()
        else:
            for link in self.links[-3:]:
                link.frozen = False

    def _damage_log(self) -> None:
        """A log file loses its tail or a byte of it turns, before its attempt's end is known."""
        key = self.rng.choice([*self.db.logs])
        log, row = self.db.logs[key], self.db.attempts.get(key)
        if not log or row is None or row.finished or not row.state.live:
            return
        if self.server and any(e.attempt == key for _, e in self.server.verifying):
            return
        if self.server and self.server.operations:
            return
        self.damages[key] += 1
        if self.rng.random() < 0.5:
            del log[self.rng.randrange(len(log)) :]
        else:
            log[self.rng.randrange(len(log))] ^= 1
        holder = self.hosts[row.agent]
        if holder.acts and self.rng.random() < 0.5:
            holder.trim(key)

    # Quiescence --------------------------------------------------------------------------------

    def settle(self) -> None:
        """All faults end; everything must come to its end, and soon."""
        for link in self.links:
            link.frozen = False
        for host in self.hosts.values():
            host.stopped = host.disk.full = False
            if not host.alive:
                host.restart()
            host.pause(False)
        if self.server is None:
            self._start_server()
        assert self.server is not None
        self.server.recover()
        for job, row in self.db.jobs.items():
            if row.spec.name == ENDLESS:
                self.server.cancel(job)
        for _ in range(SETTLING_ROUNDS):
            if self.settled():
                break
            self._set_clocks(1.0)
            self._round(self.server)
        self._verdict(self.server)

    def _round(self, server: Hub) -> None:
        server.tick()
        server.sweep()
        while server.dispatch() and server.flush():
            pass
        for host in self.hosts.values():
            host.tick()
            self.connect(host)
            for _ in range(5):
                host.disk.work(finish=0.5)
        moved, steps = True, 0
        while moved:
            steps += 1
            assert steps < LONGEST_ROUND, "it talks without end and gets nowhere"
            moved = server.flush() or server.verify(zlib.crc32) or self.send_input()
            for host in self.hosts.values():
                moved = server.read(host.name) or moved
                moved = server.send_input(host.name) or moved
                moved = host.read() or host.store() or host.disk.launch() or moved
                moved = host.scan() or host.upload() or moved
            self.check()

    def settled(self) -> bool:
        return all(row.state.terminal for row in self.db.jobs.values()) and not any(
            host.disk.attempts or host.session.attempts for host in self.hosts.values()
        )

    def _verdict(self, server: Hub) -> None:
        waiting = {job: row for job, row in self.db.jobs.items() if not row.state.terminal}
        assert not waiting, f"jobs without an end: {waiting}"
        for host in self.hosts.values():
            assert not host.disk.attempts, f"{host.name} still has {host.disk.attempts}"
            assert not host.session.attempts
        assert not server.lost_by_hello, "an agent lost what it had accepted"
        for _, session in server.links.values():
            assert not session.leases, f"{session.agent} still has {dict(session.leases)}"
        assert not [row for row in self.db.attempts.values() if row.state.live]
        for job, row in self.db.jobs.items():
            attempt = self.db.attempts.get(AttemptId(job, row.attempt))
            assert row.state != "succeeded" or (attempt is not None and attempt.finished)


class RestoredWorld(World):
    """A world in which now and then an older copy of the database is restored.

    What may have run since the copy was made is started by nobody, unless by a confirmation of
    before; and no attempt is killed for want of being known.
    """

    def __init__(self, rng: Random, agents: int = 2) -> None:
        self.backup: Database | None = None
        self.on_the_way: set[AttemptId] = set()
        """Attempts that were about to start when the copy was restored."""
        super().__init__(rng, agents)

    def _began(self, agent: str, held: AttemptId) -> None:
        super()._began(agent, held)
        key = AttemptId(*held)
        if key.job in self.db.marked:
            assert key in self.on_the_way, f"{key} may have run, and is started again"
            self.seen["started on the way"] += 1

    def _fault(self, host: Host) -> None:
        if self.rng.random() < RESTORES:
            if self.backup is None or self.rng.random() < 0.5:
                self.backup = self.db.copy()
            else:
                self._restore(self.backup)
        else:
            super()._fault(host)

    def _restore(self, backup: Database) -> None:
        run = self.rng.random() < 0.3
        self.seen["restore to run" if run else "restore"] += 1
        if self.server is not None:
            self.kill_server()
        self.db.restore(backup, run)
        if self.rng.random() < 0.5:
            self.db.logs = backup.copy().logs
        ended = {job for job, row in backup.jobs.items() if row.state.terminal}
        self.ends = {job: end for job, end in self.ends.items() if job in ended}
        self.on_the_way = {key for host in self.hosts.values() for key in host.disk.launching}
        for link in self.links:
            self.on_the_way |= {said.attempt for said in link.down if isinstance(said, Confirm)}

    def settle(self) -> None:
        for host in self.hosts.values():
            for key, place in host.disk.attempts.items():
                spec = place.offer.spec
                if key.job in self.db.jobs and key.job not in self.db.marked:
                    continue
                if spec.name == ENDLESS or spec.stdin:
                    # Nobody can cancel it any more, or send it more: it ends by itself.
                    place.stop = place.stop or EndReason.CANCELLED
        super().settle()


def run(rng: Random, steps: int, agents: int = 2, kind: type[World] = World) -> World:
    """Some jobs, `steps` random steps, and peace at the end."""
    world = kind(rng, agents)
    for _ in range(rng.randint(1, 4)):
        world.submit()
    for _ in range(steps):
        world.step()
    world.settle()
    return world
