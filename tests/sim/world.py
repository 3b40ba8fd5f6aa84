"""A world of simulated hosts and one server, whose every step is drawn at random."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from zlib import crc32

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.messages import Ack, Confirm
from remote_protocol.spec import JobSpec, OnReturn
from remote_protocol.states import AttemptState
from remote_server.domain.held_lease import HeldLease
from remote_server.domain.log_receiver import MOST_MISMATCHES
from remote_server.domain.reconciliation import _WITHOUT
from remote_server.hub import Hub
from tests.sim.database import RAN, AttemptRow, DatabaseFile
from tests.sim.disk import ENDLESS, IDLE, NO_SECRET, SECRETS, Directory, Judge
from tests.sim.files import SentInput, ServerDisk
from tests.sim.host import Host
from tests.sim.server import AGENTS, Machine, Server, prepared
from tests.sim.wire import CLOSES, Wire

SETTLING_ROUNDS = 400
LONGEST_ROUND = 5000
FAULTS = (
    "cut",
    "cut",
    "cut",
    "freeze",
    "kill agent",
    "host without power",
    "kill server",
    "power cut",
    "stop agent",
    "minute",
    "pause",
    "disk full",
    "damage",
    "damage",
    "damage",
    "trim",
    "no database",
    "no log files",
)

FATAL = ("kill server", "power cut", "no database")
"""What happens more often while the server has confirmed what is not committed."""
OVER = (AttemptState.LOST, AttemptState.ENDED)
ACK, CONFIRM = '{"type":"ack"', '{"type":"confirm"'
"""How messages begin that are looked into."""


class World:
    """Everything there is. Its invariants are asserted while it runs."""

    def __init__(self, rng: Random, agents: int = 2) -> None:
        self.rng = rng
        self.now = 1000.0
        self.starts: Counter[AttemptId] = Counter()
        self.ends: dict[str, tuple[str, str]] = {}
        self.seen: Counter[str] = Counter()
        self.damages: Counter[AttemptId] = Counter()
        self.pace = rng.choice([0.02, 0.4, 3.0])
        self.trouble = rng.choice([0.01, 0.03, 0.1])
        self.specs: dict[str, JobSpec] = {}
        """What was submitted, by name."""
        self.finished: set[AttemptId] = set()
        """Attempts whose end is committed, and was compared with what their agents had."""
        self.confirmed: set[AttemptId] = set()
        """Attempts that were ever confirmed."""
        self.vanished: set[AttemptId] = set()
        """Attempts that a host has forgotten with its power."""
        self.commit_fails = False
        """The next commit finds no room on the disk."""
        self.dies_at_commit = ""
        """The server's process is killed right before or after its next commit."""
        content, tokens = prepared()
        self.file = DatabaseFile(self._committed, self._committing)
        self.file.restore(content)
        self.disk = ServerDisk()
        self.machine = Machine(self.file, self.disk, tokens, rng, self.seen)
        self.server: Server | None = None
        self.wires: list[Wire] = []
        judge = Judge(self._began, self._forgotten, self._vanish, self._fed, crc32, self.seen)
        self.hosts = {name: Host(name, rng, judge) for name in AGENTS[:agents]}
        self._hosts = [*self.hosts.values()]
        self._start_server()

    # Invariants --------------------------------------------------------------------------------

    def _began(self, agent: str, key: AttemptId) -> None:
        self.starts[key] += 1
        assert self.starts[key] == 1, f"I1: attempt {key} was started twice"
        assert key in self.confirmed, f"{key} starts, and was not confirmed before its end"
        if key.job not in self.file.jobs or self._of_former_life(key):
            # Confirmed by a former life of the database.
            return
        rows = self.file.attempts
        assert key in rows, "it starts before its assignment is committed"
        row = rows[key]
        assert row.agent == agent, f"{key} starts on {agent}, but was given to {row.agent}"
        assert row.state is not AttemptState.WITHDRAWN
        if row.state is AttemptState.OFFERED:
            self.seen["started before the commit"] += 1
        others = [k for k in self.starts if k.job == key.job and k != key and k in rows]
        ran = [k for k in others if rows[k].state in RAN]
        assert len(ran) < self._spec(key.job).max_attempts
        if row.state in OVER:
            # It was given up after its confirmation, which nobody can take back: its agent was
            # silent, or the attempt before it has come back. It is superseded once that is heard.
            self.seen["started when given up"] += 1
            return
        live = [k for k in others if rows[k].state not in OVER and not self._of_former_life(k)]
        assert not live, f"{key} starts beside {live}"

    def _of_former_life(self, key: AttemptId) -> bool:
        """Whether a former life of the database may have given an attempt."""
        return False

    def _spec(self, job: str) -> JobSpec:
        return self.specs[self.file.jobs[job].name]

    def _committing(self) -> None:
        if self.commit_fails:
            self.commit_fails = False
            self.seen["failed commit"] += 1
            raise sqlite3.OperationalError("database or disk is full")
        if self.dies_at_commit == "before" and self.server is not None:
            self._die(self.server)
            raise sqlite3.OperationalError("the process is dead")

    def _committed(self) -> None:
        """A commit is done, and nobody knows it yet."""
        for job, row in self.file.jobs.items():
            if row.state.terminal:
                end = (str(row.state), row.reason)
                assert self.ends.setdefault(job, end) == end, "I3: a terminal state changed"
            else:
                assert job not in self.ends, "I3: a job ended and lives on"
                if job not in self.disk.inputs and self._spec(job).stdin:
                    size = self.rng.choice([0, 1, 40, 200])
                    self.disk.inputs[job] = SentInput(self.rng.randbytes(size))
        for key, attempt in self.file.attempts.items():
            if attempt.state is AttemptState.WITHDRAWN and key in self.starts:
                assert self._of_former_life(key), f"{key} was started, and is withdrawn"
            if attempt.finished and key not in self.finished:
                self.finished.add(key)
                self._finished(key, attempt)
        if self.dies_at_commit == "after" and self.server is not None:
            self._die(self.server)

    def _die(self, server: Server) -> None:
        """Whatever it goes on to do in this step, nobody sees anything of it."""
        server.dead = True
        self.file.works = False

    def _finished(self, key: AttemptId, attempt: AttemptRow) -> None:
        place = self.hosts[attempt.agent].disk.attempts.get(key)
        assert place is not None, "I4: forgotten before its end was committed"
        assert place.ended is not None
        assert self.file.outputs(key) == (place.ended.outputs or {}), "the outputs differ"
        self.seen["outputs"] += bool(place.ended.outputs)
        log = bytes(self.disk.logs.get(key, b""))
        if not attempt.log_complete:
            self.seen["torn"] += 1
            lost = place.first > 0 or self.damages[key] >= MOST_MISMATCHES
            assert lost, "given up although all of it could be sent again"
            assert len(log) >= len(place.spool)
        else:
            assert bytes(place.spool) == log, "the log differs"

    def _sent(self, text: str) -> None:
        """The server sends a message."""
        if text.startswith(CONFIRM):
            self._confirms(Confirm.model_validate_json(text).attempt)
        elif text.startswith(ACK):
            ack = Ack.model_validate_json(text)
            key = ack.attempt
            if key.job not in self.file.jobs or self._of_former_life(key):
                # It is left alone, and its log is not kept.
                return
            has = len(self.disk.logs.get(key, b""))
            assert ack.offset <= has or self.damages[key], f"I4: it has {has} bytes: {ack}"

    def _confirms(self, key: AttemptId) -> None:
        """It may start from now on, whatever the server hears or decides."""
        row = self.file.attempts.get(key)
        # After that its agent hears of it no more: it has ended there, or was superseded before.
        if row is None or row.state not in OVER:
            self.confirmed.add(key)

    def _forgotten(self, agent: str, key: AttemptId, place: Directory) -> None:
        row = self.file.attempts.get(key)
        if row is None or self._of_former_life(key):
            # Settled by a former life of the database, or left alone until its end.
            return
        held = row.agent == agent and row.state in (AttemptState.ACCEPTED, AttemptState.RUNNING)
        assert not held, f"I4: {agent} forgets {key}, which is {row.state}"
        assert place.ended is not None or not place.begun, f"{key} runs and is forgotten"

    def _vanish(self, key: AttemptId) -> None:
        assert key not in self.starts, f"I4: {key} was started, and its host has forgotten it"
        self.vanished.add(key)
        self.seen["vanished confirmed" if key in self.confirmed else "vanished"] += 1

    def _fed(self, key: AttemptId, place: Directory) -> None:
        whole = self.disk.inputs[key.job].whole
        assert whole.startswith(place.input), f"the input of {key} differs from what was sent"
        assert place.whole in (None, len(whole)), f"{key} takes a cut of its input for its end"

    # Server ------------------------------------------------------------------------------------

    def _start_server(self) -> None:
        self.server = Server(self.machine, self.now, self._sent)

    def kill_server(self) -> None:
        assert self.server is not None
        self.server.crash()
        self.dies_at_commit = ""
        self._check_closes(self.server)
        for socket in self.server.sockets:
            wire = socket.wire
            if wire.server_end:
                wire.up.clear()
                if self.rng.random() < 0.7:
                    wire.close_by_server()
                wire.cut(self.rng)
        self.server = None

    def _check_closes(self, server: Server) -> None:
        for socket in server.sockets:
            if socket.closed_with is not None:
                code, detail = socket.closed_with
                assert code in CLOSES, f"closed with {code}: {detail}"
                if code == CloseCode.SILENT:
                    self.seen["Close"] += 1
                socket.closed_with = None

    def _flush(self) -> bool:
        server = self.server
        moved = server is not None and server.flush()
        self._bury()
        return moved

    def _bury(self) -> None:
        """A commit has killed the server, or its start has failed: nothing more comes of it."""
        if self.server is not None and self.server.dead:
            when = f"{self.dies_at_commit} a commit" if self.dies_at_commit else "at the start"
            self.seen[f"died {when}"] += 1
            self.kill_server()

    # Steps -------------------------------------------------------------------------------------

    def submit(self) -> None:
        rng = self.rng
        if self.server is None:
            return
        kind = rng.choice(["job", "job", "job", "job", IDLE, ENDLESS])
        name = f"{kind} {len(self.specs)}"
        spec = JobSpec.model_validate(
            {
                "name": name,
                "command": ["x"],
                "max_attempts": rng.randint(1, 3),
                "retry_backoff": 1.0,
                "on_disconnect": {
                    "lost_after": rng.choice([35.0, 600.0]),
                    "stop_after": rng.choice([None, None, 25.0]),
                    "on_return": rng.choice(list(OnReturn)),
                },
                "stdin": rng.random() < 0.4,
                "secrets": [*SECRETS, NO_SECRET] if rng.random() < 0.3 else [],
            }
        )
        self.specs[name] = spec
        self.server.submit(spec)

    def send_input(self) -> bool:
        """The sender of some input has the server take more of it."""
        open_jobs = [job for job, sent in self.disk.inputs.items() if not sent.ended]
        if self.server is None or self.server.logs.fault or not open_jobs:
            return False
        job = self.rng.choice(open_jobs)
        self.disk.inputs[job].send(self.rng)
        self.server.input_changed(job)
        return True

    def connect(self, host: Host) -> bool:
        """A host's handshake is answered; time passes until the host tries it."""
        if not host.acts:
            return False
        if host.connecting is None:
            due = host.retries_at
            if due is None:
                return False
            self._set_clocks(max(0.0, due - self.now))
        if host.connecting is None:
            return False
        if self.server is None or self.server.hub is None:
            host.connect(None)
            return True
        wire = Wire(host.name)
        self.wires.append(wire)
        host.connect(wire)
        self.server.accept(wire)
        return True

    def _set_clocks(self, passed: float) -> None:
        self.now += passed
        for host in self._hosts:
            host.set_clock(self.now)
        if self.server:
            self.server.loop.advance(self.now)

    def step(self) -> None:
        """One random thing happens."""
        rng = self.rng
        self._set_clocks(rng.random() * self.pace)
        host = self._any_host()
        draw = rng.random()
        if draw < self.trouble:
            self._fault(host)
        elif draw < self.trouble * 2:
            self._repair(host, rng.random())
        elif draw < self.trouble * 2 + 0.15:
            self._loops(host, rng.random())
        else:
            self._progress(host)
        self._bury()

    def _any_host(self) -> Host:
        # Quicker than Random.choice, and asked often.
        return self._hosts[int(self.rng.random() * len(self._hosts))]

    def _progress(self, host: Host) -> None:
        """Something that is under way goes on by one step."""
        random, hosts = self.rng.random, self._hosts
        for _ in range(8):
            if self._go_on(host, random()):
                return
            host = hosts[int(random() * len(hosts))]

    def _go_on(self, host: Host, draw: float) -> bool:
        server = self.server
        if draw < 0.15:
            return host.disk.launch()
        if draw < 0.35:
            return host.disk.work(finish=0.1)
        if draw < 0.65 and host.acts:
            return host.steps[int(self.rng.random() * 5)]()
        if draw < 0.65 or server is None:
            return False
        if draw < 0.69:
            return self.send_input() or server.send_input(host.name)
        if draw < 0.73:
            return server.send_input(host.name)
        if draw < 0.79:
            return server.read(host.name)
        if draw < 0.88:
            return self._flush()
        if draw < 0.94:
            return server.work_on_logs()
        return host.acts and host.read()

    def _loops(self, host: Host, draw: float) -> None:
        if draw < 0.25:
            if host.acts:
                host.tick()
        elif draw < 0.5:
            self.connect(host)
        elif draw < 0.72:
            self.submit()
        elif draw < 0.85 and self.file.jobs and self.server:
            self.server.cancel(self.rng.choice([*self.file.jobs]))

    @property
    def _unrecorded(self) -> bool:
        """Whether an attempt is confirmed whose acceptance is not committed."""
        rows = self.file.attempts
        confirmed = (rows.get(key) for key in self.confirmed)
        return any(row is not None and row.state is AttemptState.OFFERED for row in confirmed)

    def _fault(self, host: Host) -> None:
        kinds = FATAL if self.rng.random() < 0.5 and self._unrecorded else FAULTS
        kind = self.rng.choice(kinds)
        self.seen[kind] += 1
        if kinds is FATAL:
            self.seen["failed unrecorded"] += 1
        rng, server = self.rng, self.server
        wire = host.wire
        if kind == "cut" and wire:
            wire.cut(rng)
        elif kind == "freeze" and wire:
            wire.frozen = not wire.broken
        elif kind == "kill agent" and host.alive:
            host.crash()
        elif kind == "host without power":
            host.lose_power()
        elif kind == "kill server" and server:
            self.dies_at_commit = rng.choice(["", "before", "after"])
            if not self.dies_at_commit or not server.writing:
                self.kill_server()
        elif kind == "power cut" and server:
            self.kill_server()
            self.file.power_cut()
        elif kind == "stop agent":
            host.stopped = True
        elif kind == "minute":
            self._set_clocks(rng.random() * 60)
        elif kind == "pause" and host.acts:
            host.pause(rng.random() < 0.5)
        elif kind == "disk full":
            host.disk.full = True
        elif kind == "damage" and self.disk.logs:
            self._damage_log()
        elif kind == "trim" and host.acts and host.disk.attempts:
            host.trim(rng.choice([*host.disk.attempts]))
        elif kind == "no database" and server:
            self.commit_fails = rng.random() < 0.4
            self.file.works = self.commit_fails
        elif kind == "no log files" and server:
            server.logs.fault = "the log files are away"

    def _repair(self, host: Host, draw: float) -> None:
        if draw < 0.2 and not host.alive:
            host.restart()
        elif draw < 0.4 and not self.server:
            self._start_server()
        elif draw < 0.6:
            host.stopped = host.disk.full = False
        elif draw < 0.8:
            if self.server:
                self.server.recover()
        else:
            for wire in self.wires[-3:]:
                wire.frozen = False

    def _damage_log(self) -> None:
        """A log file loses its tail or a byte of it turns, before its attempt's end is known."""
        key = self.rng.choice([*self.disk.logs])
        log, row = self.disk.logs[key], self.file.attempts.get(key)
        if not log or row is None or row.finished or not row.state.live:
            return
        if self.server and self.server.ends(key, row.agent):
            return
        self.damages[key] += 1
        if self.rng.random() < 0.5:
            del log[self.rng.randrange(len(log)) :]
        else:
            log[self.rng.randrange(len(log))] ^= 1
        holder = self.hosts[row.agent]
        if holder.acts and self.rng.random() < 0.8:
            holder.trim(key)

    # Quiescence --------------------------------------------------------------------------------

    def settle(self) -> None:
        """All faults end; everything must come to its end, and soon."""
        for wire in self.wires:
            wire.frozen = False
        for host in self.hosts.values():
            host.stopped = host.disk.full = False
            if not host.alive:
                host.restart()
            host.pause(False)
        self.dies_at_commit, self.commit_fails = "", False
        if self.server is None:
            self._start_server()
        assert self.server is not None
        self.server.recover()
        for _ in range(SETTLING_ROUNDS):
            if self.settled():
                break
            if self.server is None:
                self._start_server()
            self._set_clocks(1.0)
            self._round(self.server)
        self._verdict(self.server)

    def _round(self, server: Server) -> None:
        for job, row in self.file.jobs.items():
            if row.name.startswith(ENDLESS) and not (row.cancelled or row.state.terminal):
                server.cancel(job)
        for host in self.hosts.values():
            host.tick()
            if host.connecting is not None:
                self.connect(host)
            for _ in range(5):
                host.disk.work(finish=0.5)
        moved, steps = True, 0
        while moved:
            steps += 1
            assert steps < LONGEST_ROUND, "it talks without end and gets nowhere"
            moved = self._flush() or server.work_on_logs() or self.send_input()
            for host in self._hosts:
                for act in (host.read, host.flush, host.disk.launch, host.scan, host.upload):
                    moved = _repeat(act) or moved
                moved = _repeat(partial(server.go_on, host.name)) or moved

    def settled(self) -> bool:
        if self.server is None or self.server.hub is None or self.server.writing:
            return False
        return (
            all(row.state.terminal for row in self.file.jobs.values())
            and not any(host.disk.attempts or host.session.attempts for host in self._hosts)
            and not _held(self.server.hub)
            and not _idle(self.server.hub)
        )

    def _verdict(self, server: Server) -> None:
        waiting = {job: row for job, row in self.file.jobs.items() if not row.state.terminal}
        assert not waiting, f"jobs without an end: {waiting}"
        for host in self.hosts.values():
            assert not host.disk.attempts, f"{host.name} still has {host.disk.attempts}"
            assert not host.session.attempts
        assert server.hub is not None
        held = _held(server.hub)
        assert not held, f"agents still hold {held}"
        idle = _idle(server.hub)
        assert not idle, f"agents get no jobs for ever: {idle}"
        rows = self.file.attempts
        assert not [row for row in rows.values() if row.state.live]
        for key, attempt in rows.items():
            if attempt.detail == _WITHOUT:
                forgotten = key in self.vanished or self._of_former_life(key)
                assert forgotten, "an agent lost what it had accepted"
            if attempt.state is AttemptState.LOST and "was silent" in attempt.detail:
                self.seen["sweep Lost"] += 1
        for job, row in self.file.jobs.items():
            last = rows.get(AttemptId(job, row.attempt))
            assert row.state != "succeeded" or (last is not None and last.finished)
        self._check_closes(server)

    def end(self) -> None:
        """Nothing of this world goes on."""
        if self.server is not None:
            self.server.crash()
        for host in self._hosts:
            host.crash()


def _held(hub: Hub) -> list[HeldLease]:
    """What the sessions of all links hold."""
    sessions = (link.session for link in hub.links() if link.session is not None)
    return [lease for session in sessions for lease in session.leases.values()]


def _idle(hub: Hub) -> dict[str, str]:
    """Why agents that have a link get no jobs."""
    sessions = {link.name: link.session for link in hub.links() if link.session is not None}
    return {name: session.reason for name, session in sessions.items() if session.reason}


def _repeat(act: Callable[[], bool]) -> bool:
    """Do something until there is nothing more of it; whether there was anything."""
    for times in range(LONGEST_ROUND):
        if not act():
            return times > 0
    raise AssertionError("it talks without end and gets nowhere")


def run(rng: Random, steps: int, agents: int = 2, kind: type[World] = World) -> World:
    """Some jobs, `steps` random steps, and peace at the end."""
    world = kind(rng, agents)
    try:
        for _ in range(rng.randint(1, 4)):
            world.submit()
        for _ in range(steps):
            world.step()
        world.settle()
    finally:
        world.end()
    return world
