"""The server's side of one link to an agent: a pure mirror of the agent's session.

The hub makes one for each link, feeds it events in the order in which they come and carries out
the effects in the order in which they are given. `leases` knows the attempts; this module knows
the link, the heartbeats and whether the agent takes jobs. A session whose agent has a newer one is
fenced: it is closed and hears nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import negotiate
from remote_protocol.contents import ContentRef
from remote_protocol.errors import CloseCode, RemoteProtocolError
from remote_protocol.limits import MAX_TEXT
from remote_protocol.units import format_duration
from remote_server.domain import shared_values
from remote_server.domain.delivery import Delivery
from remote_server.domain.events import (
    AssignmentChanged,
    CancelWished,
    CapacityChanged,
    ChangeRefused,
    ChunkReceived,
    Close,
    DesiredModeChanged,
    Doubted,
    Effect,
    EndCommitting,
    EndRecorded,
    Event,
    HelloReceived,
    InputChanged,
    InputGone,
    InputRead,
    InputSent,
    LeaseEnded,
    LinkClosed,
    LogVerified,
    MessageReceived,
    MissingReceived,
    Offered,
    Send,
    StoreFailed,
    StoreRecovered,
    Tick,
)
from remote_server.domain.held_lease import HeldLease, LeaseState
from remote_server.domain.leases import Leases

_ENDING: Final = (EndRecorded, ChangeRefused, LeaseEnded)
"""Events that may end a lease."""
STALE: Final = 2.0
"""Heartbeat intervals of silence after which an agent counts as stale."""
SILENCE: Final = 3.0
"""Heartbeat intervals of silence after which its link is closed."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the server dictates to an agent. Durations in seconds."""

    server_version: str
    heartbeat_interval: float
    offer_ttl: float
    max_job_log: int | None = None
    """Bytes of a job's output that are kept, at most: told to the agent with each offer."""


class AgentSession:
    """All that the server knows about one link to an agent. `now` is monotonic seconds."""

    def __init__(self, agent: str, epoch: int, terms: Terms, now: float) -> None:
        self.agent = agent
        self.epoch = epoch
        self.condition = shared_values.CONDITION
        self.spool_bytes = 0
        self.last_heard = now
        self.terms = terms
        self._leases = Leases(terms.max_job_log)
        self._delivery = Delivery()
        self._desired = shared_values.MODE
        self._hello: shared_values.Said | None = None
        self._closed = False
        self._leaving = False
        self._store_down = False

    @property
    def leaving(self) -> bool:
        """Whether the agent said goodbye."""
        return self._leaving

    @property
    def leases(self) -> Mapping[AttemptId, HeldLease]:
        """Every lease that takes capacity of this agent. Only to be read."""
        return self._leases.held

    @property
    def hello(self) -> shared_values.Said | None:
        """What is kept of the agent's last hello; None before the first."""
        return self._hello

    @property
    def eligible(self) -> bool:
        """Whether the agent gets jobs."""
        return not self.reason

    @property
    def reason(self) -> str:
        """Why the agent gets no jobs, in words; empty when it does."""
        desired, condition = self._desired, self.condition
        if self._hello is None:
            return "it has not said hello yet"
        if self._closed or self._leaving:
            return "it is leaving"
        if self._store_down:
            return "the server cannot write its database or its logs"
        if desired.draining or condition.draining:
            return "it is draining"
        if desired.paused:
            return f"it is paused: {desired.comment}" if desired.comment else "it is paused"
        if not condition.accepting:
            return condition.reason or "it takes no jobs now"
        return ""

    @property
    def due(self) -> float:
        """When a Tick has something to do at the earliest; earlier ones do nothing."""
        silent = self.last_heard + SILENCE * self.terms.heartbeat_interval
        cancel = self._leases.cancel_due
        return silent if cancel is None else min(silent, cancel)

    def reads(self, key: AttemptId) -> bool:
        """Whether the agent holds this attempt of a job that takes an input."""
        held = self._leases.held.get(key)
        return held is not None and held.lease.spec.stdin

    def unanswered(self, key: AttemptId) -> bool:
        """Whether it is certain that the agent has not accepted an attempt of its that is `offered`
        in the database. What it does not hold was not in its hello, and is not offered since."""
        if self._hello is None or self._closed or self._store_down:
            return False
        held = self._leases.held.get(key)
        return held is None or held.state is LeaseState.OFFERED

    def contents_of(self, key: AttemptId) -> list[ContentRef]:
        """The contents that an attempt names which the agent holds and has not started; none for
        all others."""
        held = self._leases.held.get(key)
        if held is None or held.state is not LeaseState.ACCEPTED:
            return []
        return held.lease.spec.contents

    def next_input(self) -> tuple[AttemptId, int, int] | None:
        """`(key, offset, length)` of the input bytes to send next; None when there are none.

        Attempts take turns. Each call is followed by InputSent before the next one.
        """
        return None if self._closed else self._delivery.next_chunk()

    def stale(self, now: float) -> bool:
        """Whether the agent has been silent for longer than it should."""
        return now - self.last_heard > STALE * self.terms.heartbeat_interval

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What to do about `event`, in this order."""
        if self._closed and not isinstance(event, LinkClosed):
            return []
        effects = self._react(event, now)
        if isinstance(event, _ENDING):
            self._delivery.keep(self._leases.held)
        if self._hello is None:
            # Nothing is said before the welcome, which says it all.
            return [effect for effect in effects if not isinstance(effect, Send)]
        return effects

    def _react(self, event: Event, now: float) -> list[Effect]:
        leases = self._leases
        match event:
            # What happens most often comes first.
            case MessageReceived(message):
                self.last_heard = now
                return self._hear(message) if self._hello else self._too_early(message.type)
            case Offered():
                return leases.offer(event.lease)
            case LogVerified():
                return leases.verified(event)
            case EndCommitting():
                return leases.committing(event.key)
            case EndRecorded():
                return leases.recorded(event.key)
            case ChunkReceived():
                self.last_heard = now
                return leases.chunk(event) if self._hello else self._too_early("log bytes")
            case InputRead():
                self.last_heard = now
                return self._read_input(event) if self._hello else self._too_early("read_input")
            case InputSent(key, length):
                return self._delivery.sent(key, length)
            case InputGone(key):
                self._delivery.drop(key)
                return []
            case InputChanged():
                return self._delivery.changed(event)
            case MissingReceived():
                self.last_heard = now
                return leases.missing(event) if self._hello else self._too_early("missing")
            case CancelWished(key, reason, detail):
                return leases.cancel(key, reason, detail, now)
            case Tick():
                return self._tick(now)
            case HelloReceived():
                self.last_heard = now
                return self._welcome(event, now)
            case Doubted():
                return [Send(m.Resync(reason="another installation wants this agent's name"))]
            case LeaseEnded(key, detail):
                return leases.supersede(key, detail)
            case DesiredModeChanged(desired):
                self._desired = shared_values.mode(desired)
                return [Send(m.SetMode(desired=desired)), CapacityChanged()]
            case AssignmentChanged(assignment):
                return [Send(self._configure(assignment)), CapacityChanged()]
            case ChangeRefused(change):
                return leases.stale(change)
            case StoreFailed(key):
                return self._store_failed(key)
            case StoreRecovered(forgetful):
                if not (self._store_down or forgetful):
                    return []
                self._store_down = False
                return [Send(m.Resync(reason="the server's database works again"))]
            case LinkClosed():
                self._closed = True
                return leases.withdraw_offers(f"the link to {self.agent} was lost")

    def _read_input(self, event: InputRead) -> list[Effect]:
        if event.key not in self._leases.held:
            return self._leases.not_held(event.key)
        return self._delivery.read(event) if self.reads(event.key) else []

    # Link --------------------------------------------------------------------------------------

    def _close(self, code: CloseCode, detail: str) -> list[Effect]:
        self._closed = True
        return [Close(code, detail)]

    def _too_early(self, what: str) -> list[Effect]:
        return self._close(CloseCode.BAD_MESSAGE, f"{what} came before the hello")

    def _configure(self, assignment: m.Assignment) -> m.Configure:
        return m.Configure(
            assignment=assignment,
            heartbeat_interval=self.terms.heartbeat_interval,
            offer_ttl=self.terms.offer_ttl,
        )

    def _tick(self, now: float) -> list[Effect]:
        silent = now - self.last_heard
        if silent > SILENCE * self.terms.heartbeat_interval:
            text = f"{self.agent} was silent for {format_duration(silent)}"
            return self._close(CloseCode.SILENT, text)
        return self._leases.cancel_again(now)

    def _store_failed(self, key: AttemptId | None) -> list[Effect]:
        self._store_down = True
        self._leases.suspend(key)
        return [CapacityChanged()]

    # Messages of the agent ---------------------------------------------------------------------

    def _welcome(self, event: HelloReceived, now: float) -> list[Effect]:
        hello = event.hello
        try:
            version = negotiate(hello.oldest, hello.newest)
        except RemoteProtocolError as error:
            return self._close(error.code, str(error))
        self._hello = shared_values.said(hello)
        self._desired = shared_values.mode(event.desired)
        self.condition = shared_values.condition(hello.condition)
        self._delivery.hello()
        rulings, before, after = self._leases.hello(event, now)
        welcome = m.Welcome(
            version=version,
            session=hello.session,
            epoch=self.epoch,
            agent=self.agent,
            server_version=self.terms.server_version,
            heartbeat_interval=self.terms.heartbeat_interval,
            offer_ttl=self.terms.offer_ttl,
            assignment=event.assignment,
            desired=event.desired,
            rulings=rulings,
            warning=event.warning[:MAX_TEXT],
            own_log=event.own_log,
        )
        return [*before, Send(welcome), *self._leases.offers(), *after, CapacityChanged()]

    def _hear(self, message: m.AgentMessage) -> list[Effect]:
        leases = self._leases
        # By type: a model's `isinstance` runs Python, for each message that is none. All that an
        # idle fleet says is heartbeats.
        if type(message) is m.Heartbeat:
            return self._heartbeat(message)
        match message:
            case m.Accept():
                return leases.accepted(message)
            case m.Ended():
                return leases.ended(message)
            case m.Started():
                return leases.started(message)
            case m.Refuse():
                return leases.refused(message)
            case m.InputAck(attempt=key, offset=offset):
                return self._delivery.acked(key, offset)
            case m.Goodbye():
                self._leaving = True
                return [*leases.withdraw_offers(f"{self.agent} has left"), CapacityChanged()]
            case (
                m.Hello()
                | m.Inventory()
                | m.ReadContent()
                | m.ReadInput()
                | m.Missing()
                | m.OwnLog()
                | m.Artifact()
                | m.ArtifactLost()
            ):
                return self._close(CloseCode.INTERNAL, f"a {message.type} is for the hub")

    def _heartbeat(self, message: m.Heartbeat) -> list[Effect]:
        was = reason = self.reason
        condition = shared_values.condition(message.condition)
        if condition is not self.condition:
            self.condition = condition
            reason = self.reason
        self.spool_bytes = message.spool_bytes
        ack = m.HeartbeatAck(
            seq=message.seq,
            epoch=self.epoch,
            leases=self._leases.open,
            eligible=not reason,
            reason=reason,
        )
        return [Send(ack)] if bool(was) == bool(reason) else [Send(ack), CapacityChanged()]
