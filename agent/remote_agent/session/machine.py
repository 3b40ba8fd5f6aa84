"""The agent's session: what to do about each thing that happens. Pure: no I/O, `now` is given.

It knows the link, the heartbeats and the host's condition; `attempts` knows the attempts. After
every welcome everything that the server might have missed is said again (I6). `now` is seconds of
a clock that never jumps and that counts the host's sleep (CLOCK_BOOTTIME).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Any, Final

from remote_agent.session import events as ev
from remote_agent.session.attempt import FoundAttempt, HeldAttempt
from remote_agent.session.attempts import AboutAttempt, Attempts
from remote_agent.session.capacity import fits
from remote_agent.session.effects import (
    ApplyAssignment,
    ApplyDesiredState,
    ArtifactAnswered,
    CloseLink,
    ContactConfirmed,
    ContentMissing,
    ContentReceived,
    Effect,
    Online,
    OwnLogStored,
    Send,
    Store,
    WakeUploader,
)
from remote_agent.session.heartbeat import FIRST_INTERVAL, Heartbeats
from remote_agent.session.hello import HostFacts, hello
from remote_agent.session.inputs import Inputs
from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode, RemoteProtocolError
from remote_protocol.limits import PROTOCOL_VERSION
from remote_protocol.messages import Refusal
from remote_protocol.spec import JobSpec
from remote_protocol.units import format_duration

_MOST: Final = (1 << 63) - 1
"""Of an `Offset`: the records of damaged attempts may claim any size."""


class _Link(Enum):
    NONE = auto()
    GREETED = auto()
    """Open, the hello is sent, nothing else until the welcome."""
    WELCOMED = auto()
    CLOSING = auto()


class Session:
    """All that an agent knows about its link and its attempts."""

    def __init__(self, facts: HostFacts) -> None:
        self._facts = facts
        self._attempts = Attempts()
        self._inputs = Inputs(self._attempts.held)
        self._link = _Link.NONE
        self._session = ""
        self._heartbeats = Heartbeats()
        self._offer_ttl = 3 * FIRST_INTERVAL
        self._capacity: Mapping[str, int] = {}
        self._condition = m.Condition()
        self._refusal = Refusal.PAUSED
        self._leaving = False
        self._load: m.HostLoad | None = None
        """What the next heartbeat says of the host."""

    @property
    def attempts(self) -> Mapping[AttemptId, HeldAttempt]:
        """Every attempt that is held or being stored. Only to be read."""
        return MappingProxyType(self._attempts.held)

    @property
    def running_specs(self) -> list[JobSpec]:
        """The jobs of attempts that run, or will."""
        expected = self._attempts.expected
        return [attempt.spec for attempt in expected if attempt.spec is not None]

    @property
    def process(self) -> str:
        """What this start of the agent is called in its hellos."""
        return self._facts.process

    @property
    def running(self) -> int:
        """Attempts that the agent holds and that have not ended."""
        return self._attempts.running

    @property
    def spool_bytes(self) -> int:
        """Log bytes that the server has not acknowledged."""
        return self._attempts.spool_bytes

    @property
    def log_lag_bytes(self) -> int:
        """The same, of the one attempt of which there are most."""
        return self._attempts.log_lag_bytes

    @property
    def end_counts(self) -> Mapping[str, int]:
        """Attempts that ended since the start, for each end reason. Only to be read."""
        return self._attempts.end_counts

    @property
    def welcomed(self) -> bool:
        """Whether the link is open and the server has welcomed it."""
        return self._link is _Link.WELCOMED

    def adopt(self, found: FoundAttempt) -> None:
        """Take up an attempt that was found on the disk, before the first link."""
        self._attempts.adopt(found)

    def next_chunk(self) -> tuple[AttemptId, int, int] | None:
        """`(key, offset, length)` of the log bytes to send next; None when there are none.

        Attempts take turns. Each call is followed by ChunkSent before the next one, unless the
        link was lost.
        """
        return self._attempts.next_chunk()

    def handle(self, event: ev.Event, now: float) -> list[Effect]:
        """What to do about `event`, in this order. `now` never goes back."""
        return HANDLERS[type(event)](self, event, now)

    def _change_condition(self, event: ev.ConditionChanged, now: float) -> list[Effect]:
        self._condition = event.condition
        self._refusal = Refusal.DRAINING if event.condition.draining else event.refusal
        return self._heartbeat(now) if self.welcomed else []

    def _change_settings(self, event: ev.SettingsChanged, _: float) -> list[Effect]:
        self._facts = replace(self._facts, settings=event.settings)
        return self._hello() if self._link in (_Link.GREETED, _Link.WELCOMED) else []

    def _look_at_host(self, event: ev.HostLooked, _: float) -> list[Effect]:
        self._load = event.load
        return []

    def _close_link(self, _: ev.LinkClosed, __: float) -> list[Effect]:
        self._turn(_Link.NONE)
        return []

    def _shut_down(self, event: ev.ShuttingDown, _: float) -> list[Effect]:
        self._leaving = True
        return self._attempts.say(m.Goodbye(reason=event.reason))

    def _turn(self, link: _Link) -> None:
        self._link = link
        self._attempts.talking = self._attempts.uploading = link is _Link.WELCOMED

    def _open_link(self, event: ev.LinkOpened, now: float) -> list[Effect]:
        self._turn(_Link.GREETED)
        self._session = event.session
        self._heartbeats.restart(now)
        self._attempts.change_link()
        return self._hello()

    def _hello(self) -> list[Effect]:
        # Chunks wait for the welcome: it may rewind them.
        self._attempts.uploading = False
        return hello(self._facts, self._session, self._condition, self._attempts.inventory())

    def _read_input(self, event: ev.InputReceived, now: float) -> list[Effect]:
        if not self.welcomed:
            return []
        self._heartbeats.heard(now)
        return self._inputs.received(event)

    def _read_content(self, event: ev.ContentChunkReceived, now: float) -> list[Effect]:
        if not self.welcomed:
            return []
        self._heartbeats.heard(now)
        return [ContentReceived(event.chunk)]

    def _tick(self, _: ev.Tick, now: float) -> list[Effect]:
        if self._link in (_Link.GREETED, _Link.WELCOMED):
            silence = self._heartbeats.silent_for(now)
            if silence is not None:
                quiet = format_duration(silence)
                return self._close(CloseCode.SILENT, f"the server was silent for {quiet}")
            if self.welcomed:
                due = self._heartbeats.due(now, self._attempts.shortest_absence)
                return (self._heartbeat(now) if due else []) + self._inputs.retry()
        return []

    def _heartbeat(self, now: float) -> list[Effect]:
        beat = m.Heartbeat(
            seq=self._heartbeats.send(now, self._attempts.open),
            condition=self._condition,
            running=self.running,
            spool_bytes=min(self.spool_bytes, _MOST),
            load=self._load,
        )
        self._load = None
        return [Send(beat)]

    def _close(self, code: CloseCode, detail: str) -> list[Effect]:
        self._turn(_Link.CLOSING)
        return [CloseLink(code, detail)]

    def _received(self, event: ev.Received, now: float) -> list[Effect]:
        link = self._link
        if link is not _Link.WELCOMED and link is not _Link.GREETED:
            return []
        self._heartbeats.heard(now)
        try:
            return self._obey(event.message, now)
        except RemoteProtocolError as error:
            return self._close(error.code, str(error))

    def _obey(self, message: m.ServerMessage, now: float) -> list[Effect]:
        # By type, as all of them are told apart: a model's `isinstance` runs Python.
        kind = type(message)
        if self._link is not _Link.WELCOMED and kind not in _BEFORE_WELCOME:
            raise RemoteProtocolError(f"{message.type} came before the welcome")
        return OBEYED[kind](self, message, now)

    def _fail(self, message: m.Error, _: float) -> list[Effect]:
        # Its own code, so that the link ends as if the server's close frame had come.
        own = CloseCode.__members__.get(message.code.upper(), CloseCode.NORMAL)
        return self._close(own, message.detail)

    def _configure(self, message: m.Configure, _: float) -> list[Effect]:
        self._agree(message)
        return [ApplyAssignment(message.assignment)]

    def _agree(self, message: m.Welcome | m.Configure) -> None:
        self._heartbeats.interval = message.heartbeat_interval
        self._offer_ttl = message.offer_ttl
        self._capacity = message.assignment.capacity

    def _welcome(self, message: m.Welcome, _: float) -> list[Effect]:
        if (message.session, message.version) != (self._session, PROTOCOL_VERSION):
            raise RemoteProtocolError("the welcome is of another session or protocol version")
        self._turn(_Link.WELCOMED)
        self._agree(message)
        effects: list[Effect] = [
            Online(message),
            ContactConfirmed(self._heartbeats.confirmed_at),
            ApplyAssignment(message.assignment),
            ApplyDesiredState(message.desired),
        ]
        for ruling in message.rulings:
            effects += self._attempts.rule(ruling)
        return [*effects, WakeUploader()]

    def _heartbeat_acked(self, message: m.HeartbeatAck, _: float) -> list[Effect]:
        if not self._heartbeats.answered(message):
            return []
        known: list[Effect] = [ContactConfirmed(self._heartbeats.confirmed_at)]
        return known + (self._hello() if self._heartbeats.out_of_step() else [])

    def _offer(self, offer: m.Offer, now: float) -> list[Effect]:
        key = offer.attempt
        attempts = self._attempts
        attempt = attempts.held.get(key)
        if attempt is not None:
            return attempts.offered_again(attempt, offer)
        if self._leaving:
            return attempts.refuse(
                key, offer.serial, Refusal.DRAINING, "the agent is about to exit"
            )
        if not self._condition.accepting:
            reason = self._condition.reason or "the agent takes no jobs"
            return attempts.refuse(key, offer.serial, self._refusal, reason)
        age = now - self._heartbeats.confirmed_at
        if age > self._offer_ttl:
            text = f"the offer may be {format_duration(age)} old"
            return attempts.refuse(key, offer.serial, Refusal.STALE, text)
        attempt = HeldAttempt(key, offer.spec, serial=offer.serial)
        if not fits(self._capacity, attempts.expected, attempt):
            text = "the agent runs as many jobs as were agreed"
            return attempts.refuse(key, offer.serial, Refusal.CAPACITY, text)
        attempts.held[key] = attempt
        urgent = attempt.stop_after is not None
        # Answered before the job is confirmed, so that it starts with fresh contact.
        return [*(self._heartbeat(now) if urgent else ()), Store(offer)]


_Handler = Callable[[Session, Any, float], list[Effect]]

HANDLERS: Final[dict[type[ev.Event], _Handler]] = {
    ev.Received: Session._received,
    ev.OfferStored: lambda session, event, _: session._attempts.stored(event.key),
    ev.OfferFailed: lambda session, event, _: session._attempts.store_failed(event),
    ev.AcceptanceDurable: lambda session, event, _: session._attempts.durable(event.key),
    ev.AcceptanceFailed: lambda session, event, _: session._attempts.not_durable(event),
    ev.AttemptStarted: lambda session, event, _: session._attempts.started(event),
    ev.AttemptEnded: lambda session, event, _: session._attempts.ended(*event),
    ev.SpoolGrew: lambda session, event, _: session._attempts.grew(event.key, event.size),
    ev.SpoolMissing: lambda session, event, _: session._attempts.missing(event),
    ev.ChunkSent: lambda session, event, now: session._attempts.chunk_sent(
        event.key, event.length, now
    ),
    ev.InputReceived: Session._read_input,
    ev.InputStored: lambda session, event, _: session._inputs.stored(event.key, event.size),
    ev.InputEnded: lambda session, event, _: session._inputs.ended(event.key),
    ev.InputFailed: lambda session, event, _: session._inputs.failed(event.key),
    ev.ContentChunkReceived: Session._read_content,
    ev.Tick: Session._tick,
    ev.HostLooked: Session._look_at_host,
    ev.ConditionChanged: Session._change_condition,
    ev.SettingsChanged: Session._change_settings,
    ev.LinkOpened: Session._open_link,
    ev.LinkClosed: Session._close_link,
    ev.ShuttingDown: Session._shut_down,
}
"""What is done about each event; a test compares it with `Event`."""


def _about(session: Session, message: AboutAttempt, now: float) -> list[Effect]:
    return session._attempts.about(message, now)


OBEYED: Final[dict[type[m.ServerMessage], _Handler]] = {
    m.Offer: Session._offer,
    m.Confirm: _about,
    m.Settled: _about,
    m.Ack: _about,
    m.Rewind: _about,
    m.Cancel: _about,
    m.Superseded: _about,
    m.HeartbeatAck: Session._heartbeat_acked,
    m.SetMode: lambda _, message, __: [ApplyDesiredState(message.desired)],
    m.Configure: Session._configure,
    m.ArtifactAck: lambda _, message, __: [ArtifactAnswered(message)],
    m.ContentLost: lambda _, message, __: [ContentMissing(message)],
    m.OwnLogAck: lambda _, message, __: [OwnLogStored(message.cursor)],
    m.Resync: lambda session, _, __: session._hello(),
    m.InputEnd: lambda session, message, _: session._inputs.finish(message.attempt, message.size),
    m.Welcome: Session._welcome,
    m.Error: Session._fail,
}
"""What is done as each message says; a test compares it with `ServerMessage`."""
_BEFORE_WELCOME: Final = frozenset({m.Welcome, m.Error})
