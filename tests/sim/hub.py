"""A simulated server: links, tick transactions, dispatcher and sweeper around real sessions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.messages import (
    Assignment,
    Confirm,
    DesiredMode,
    Ended,
    Hello,
    Missing,
    ReadInput,
)
from remote_protocol.states import AttemptState, EndReason
from remote_server.domain import events as ev
from remote_server.domain.demand import policy_of
from remote_server.domain.session import AgentSession, Terms
from remote_server.errors import Stale
from tests.sim.database import AttemptRow, Database
from tests.sim.inputs import SentInput
from tests.sim.wire import Bytes, Closed, Link

TERMS = Terms("sim", heartbeat_interval=10.0, offer_ttl=30.0)
ASSIGNMENT = Assignment(queues=["default"], capacity={"default": 3})
OFFER_GRACE = 15.0
CANCEL_GRACE = 40.0
START_TTL = 20.0
START_GRACE = 10.0
Operation = Callable[[bool], None]


class Hub:
    """One life of the server process."""

    def __init__(
        self, database: Database, rng: Random, epochs: dict[str, int], seen: Counter[str]
    ) -> None:
        self.db = database
        self.rng = rng
        self.epochs = epochs
        self.seen = seen
        self.now = 0.0
        self.started_at = 0.0
        self.links: dict[str, tuple[Link, AgentSession]] = {}
        self.contact: dict[str, float] = {}
        self.operations: list[Operation] = []
        self.verifying: list[tuple[AgentSession, Ended]] = []
        self.store_works = True
        self.files_work = True
        self.lost_by_hello: list[AttemptId] = []
        self.sending: dict[str, tuple[Link, AttemptId, int, bytes]] = {}
        """A piece of an input that waits for room on the link of an agent."""

    # Links -------------------------------------------------------------------------------------

    def connect(self, link: Link) -> None:
        """A new link; the newest one of an agent wins."""
        self.disconnect(link.agent)
        self.epochs[link.agent] = self.epochs.get(link.agent, 0) + 1
        session = AgentSession(link.agent, self.epochs[link.agent], TERMS, self.now)
        self.links[link.agent] = link, session

    def disconnect(self, agent: str) -> None:
        if agent in self.links:
            link, session = self.links.pop(agent)
            self.contact[agent] = session.last_heard
            link.close_by_server()
            self._handle(link, session, ev.LinkClosed())

    def read(self, agent: str) -> bool:
        """Take one frame off an agent's link."""
        if agent not in self.links:
            return False
        link, session = self.links[agent]
        if link.frozen or not link.up:
            return False
        frame = link.up.popleft()
        match frame:
            case Closed():
                self.disconnect(agent)
            case Bytes(key, offset, payload):
                length = len(self.db.logs.get(key, b""))
                chunk = ev.ChunkReceived(key, offset, len(payload), length)
                self._handle(link, session, chunk, payload)
            case ReadInput(attempt=key, offset=offset):
                sent = self.db.inputs.get(key.job, SentInput(b""))
                event = ev.InputRead(key, offset, sent.size, sent.ended)
                self._handle(link, session, event)
            case Missing():
                key = frame.attempt
                length = len(self.db.logs.get(key, b""))
                self._handle(link, session, ev.MissingReceived(frame, length))
            case Hello():
                if not self.store_works:
                    self.disconnect(agent)
                    return True
                self._hello(link, session, frame)
            case _:
                self._handle(link, session, ev.MessageReceived(frame))  # type: ignore[arg-type]
        return True

    def send_input(self, agent: str) -> bool:
        """Take a piece of an input from an agent's session, or put the one taken on the link."""
        if agent not in self.links:
            return False
        link, session = self.links[agent]
        taken = self.sending.pop(agent, None)
        if taken is not None and taken[0] is link:
            _, key, offset, payload = taken
            link.send_down(Bytes(key, offset, payload))
            self._handle(link, session, ev.InputSent(key, len(payload)))
            return True
        piece = session.next_input()
        if piece is None:
            return False
        key, offset, length = piece
        if not self.files_work:
            self._handle(link, session, ev.StoreFailed(key))
            return True
        sent = self.db.inputs[key.job]
        assert offset + length <= sent.size
        self.seen["input sent"] += 1
        self.sending[agent] = link, key, offset, sent.whole[offset : offset + length]
        return True

    def input_changed(self, job: str) -> None:
        """More of an input is here: every link that reads it hears of it."""
        sent = self.db.inputs[job]
        for agent in [*self.links]:
            self.tell(agent, ev.InputChanged(job, sent.size, sent.ended))

    def _hello(self, link: Link, session: AgentSession, hello: Hello) -> None:
        inventory = {item.attempt for item in hello.inventory}
        leases = self.db.leases_of(link.agent, inventory)
        ended = self.db.ended_of(link.agent, inventory)
        event = ev.HelloReceived(
            hello,
            leases,
            ended,
            {key: len(self.db.logs.get(key, b"")) for key in inventory},
            ASSIGNMENT,
            DesiredMode(),
            frozenset(filter(self.db.is_left_alone, inventory - leases.keys() - ended)),
        )
        self.seen["left alone"] += len(event.left_alone)
        self._handle(link, session, event)

    def _handle(
        self, link: Link, session: AgentSession, event: ev.Event, payload: bytes = b""
    ) -> None:
        for effect in session.handle(event, self.now):
            self.seen[_name(effect)] += 1
            match effect:
                case ev.Send(message):
                    link.send_down(message)
                case ev.Record():
                    self._record(link, session, effect)
                case ev.AppendLog(key, skip, ack, take):
                    if not self.files_work:
                        self._handle(link, session, ev.StoreFailed(key))
                        continue
                    self.db.logs.setdefault(key, bytearray()).extend(payload[skip:][:take])
                    link.send_down(ack.message)
                case ev.VerifyLog(ended):
                    self.verifying.append((session, ended))
                case ev.TruncateLog(key, length):
                    del self.db.logs[key][length:]
                case ev.FillLog(key, length):
                    log = self.db.logs.setdefault(key, bytearray())
                    log.extend(bytes(max(0, length - len(log))))
                case ev.Close(code, detail):
                    assert code is CloseCode.SILENT, detail
                    self.disconnect(link.agent)

    def _record(self, link: Link, session: AgentSession, record: ev.Record) -> None:
        change = record.change
        if isinstance(change, ev.Lost) and not self.db.of_former_life(change.key):
            self.lost_by_hello.append(change.key)

        def operation(works: bool) -> None:
            if not works:
                self._handle(link, session, ev.StoreFailed(change.key))
                return
            try:
                taken = self.db.record(session.agent, change, self.now)
            except Stale:
                self.seen[f"stale {type(change).__name__}"] += 1
                self._handle(link, session, ev.ChangeRefused(change))
                return
            for effect in record.then:
                self.seen[effect.message.type] += 1
                if isinstance(effect.message, Confirm):
                    self.db.confirmed.add(change.key)
                link.send_down(effect.message)
            self._handle(link, session, ev.ChangeRecorded(change))
            for agent, key in taken:
                self._lease_ended(agent, key)

        self.operations.append(operation)

    def verify(self, checksum: Callable[[bytes], int]) -> bool:
        if not self.verifying:
            return False
        session, ended = self.verifying.pop(self.rng.randrange(len(self.verifying)))
        log = self.db.logs.get(ended.attempt, bytearray())
        matches = checksum(bytes(log[: ended.size])) == ended.checksum
        self._to(session, ev.LogVerified(ended, len(log), matches))
        return True

    def _to(self, session: AgentSession, event: ev.Event) -> None:
        link, present = self.links.get(session.agent, (None, None))
        if link is not None and present is session:
            self._handle(link, session, event)

    def tell(self, agent: str, event: ev.Event) -> None:
        if agent in self.links:
            self._handle(*self.links[agent], event)

    def _lease_ended(self, agent: str, key: AttemptId) -> None:
        self.tell(agent, ev.LeaseEnded(key, "it was given up"))

    # Loops -------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """The transaction of a tick."""
        operations, self.operations = self.operations, []
        for operation in operations:
            operation(self.store_works)
        return bool(operations)

    def recover(self) -> None:
        self.store_works = self.files_work = True
        for agent in [*self.links]:
            self.tell(agent, ev.StoreRecovered())

    def dispatch(self) -> bool:
        """Give some queued job to some agent with a free slot."""
        ready = [agent for agent, (_, s) in self.links.items() if s.eligible and len(s.leases) < 3]
        jobs = [
            job
            for job, row in self.db.jobs.items()
            if row.state == "queued" and row.not_before <= self.now
        ]
        if not ready or not jobs:
            return False
        job, agent = self.rng.choice(jobs), self.rng.choice(ready)

        def operation(works: bool) -> None:
            lease = self.db.assign(job, agent, self.now) if works else None
            if lease is not None:
                self.tell(agent, ev.Offered(lease))

        self.operations.append(operation)
        return True

    def cancel(self, job: str) -> None:
        def operation(works: bool) -> None:
            key = self.db.cancel(job) if works else None
            if key is not None:
                event = ev.CancelWished(key, EndReason.CANCELLED, "by a user")
                self.tell(self.db.attempts[key].agent, event)

        self.operations.append(operation)

    def sweep(self) -> None:
        for key, row in self.db.attempts.items():
            if not row.state.live:
                continue
            if row.state is AttemptState.OFFERED:
                if self.now - row.offered_at > TERMS.offer_ttl + OFFER_GRACE:
                    self._give_up(row.agent, ev.Withdrawn(key, "not accepted in time"))
                continue
            known = self.contact.get(row.agent, self.started_at)
            if row.agent in self.links:
                known = self.links[row.agent][1].last_heard
            silent = self.now - max(known, self.started_at)
            job = self.db.jobs[key.job]
            patience = policy_of(job.spec).lost_after
            if job.cancelled:
                patience = min(patience, CANCEL_GRACE)
            if silent > patience:
                self._give_up(row.agent, ev.Lost(key, "its agent is silent"))
            elif row.state is AttemptState.ACCEPTED:
                self._sweep_start(key, row)

    def _sweep_start(self, key: AttemptId, row: AttemptRow) -> None:
        waited = self.now - max(row.offered_at, self.started_at)
        if waited > START_TTL + START_GRACE:
            self._give_up(row.agent, ev.Lost(key, "it was not started"))
        elif waited > START_TTL:
            self.seen["sweep unstarted"] += 1
            self.tell(row.agent, ev.CancelWished(key, EndReason.LOST, "not started in time"))

    def _give_up(self, agent: str, change: ev.Withdrawn | ev.Lost) -> None:
        self.seen[f"sweep {type(change).__name__}"] += 1

        def operation(works: bool) -> None:
            try:
                if works:
                    self.db.record(agent, change, self.now)
                    self._lease_ended(agent, change.key)
            except Stale:
                pass

        self.operations.append(operation)

    def tick(self) -> None:
        for agent in [*self.links]:
            self.tell(agent, ev.Tick())


def _name(effect: ev.Effect) -> str:
    match effect:
        case ev.Send(message):
            return message.type
        case ev.Record(change):
            return type(change).__name__
    return type(effect).__name__
