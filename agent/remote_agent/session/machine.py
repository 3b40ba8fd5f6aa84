"""The agent's session: what to do about each thing that happens. Pure: no I/O, `now` is given.

It knows the link, the heartbeats and the host's condition; `attempts` knows the attempts. After
every welcome everything that the server might have missed is said again (I6). `now` is seconds of
a clock that never jumps and that counts the host's sleep (CLOCK_BOOTTIME).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from types import MappingProxyType
from typing import Final

from remote_agent.session.attempt import FoundAttempt, HeldAttempt
from remote_agent.session.attempts import Attempts
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
from remote_agent.session.events import (
    AttemptEnded,
    AttemptStarted,
    ChunkSent,
    ConditionChanged,
    ContentChunkReceived,
    Event,
    HostLooked,
    InputEnded,
    InputFailed,
    InputReceived,
    InputStored,
    LinkClosed,
    LinkOpened,
    OfferFailed,
    OfferStored,
    Received,
    SettingsChanged,
    ShuttingDown,
    SpoolGrew,
    SpoolMissing,
    Tick,
)
from remote_agent.session.heartbeat import FIRST_INTERVAL, Heartbeats
from remote_agent.session.hello import HostFacts, hello
from remote_agent.session.inputs import Inputs
from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ContentChunk
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
        return self._attempts.running_specs()

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

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What to do about `event`, in this order. `now` never goes back."""
        attempts = self._attempts
        match event:
            case Received(message):
                return self._received(message, now)
            case SpoolGrew(key, size):
                return attempts.grew(key, size)
            case ChunkSent(key, length):
                return attempts.chunk_sent(key, length, now)
            case SpoolMissing():
                return attempts.missing(event)
            case InputReceived():
                return self._read_input(event, now)
            case ContentChunkReceived(chunk):
                return self._read_content(chunk, now)
            case InputStored(key, size):
                return self._inputs.stored(key, size)
            case InputEnded(key):
                return self._inputs.ended(key)
            case InputFailed(key):
                return self._inputs.failed(key)
            case AttemptStarted():
                return attempts.started(event)
            case AttemptEnded(key, ended):
                return attempts.ended(key, ended)
            case OfferStored(key):
                return attempts.stored(key)
            case OfferFailed():
                return attempts.store_failed(event)
            case Tick():
                return self._tick(now)
            case ConditionChanged(condition, refusal):
                self._condition = condition
                self._refusal = Refusal.DRAINING if condition.draining else refusal
                return self._heartbeat(now) if self.welcomed else []
            case HostLooked(load):
                self._load = load
                return []
            case SettingsChanged(settings):
                self._facts = replace(self._facts, settings=settings)
                return self._hello() if self._link in (_Link.GREETED, _Link.WELCOMED) else []
            case LinkOpened(session):
                return self._opened(session, now)
            case LinkClosed():
                self._turn(_Link.NONE)
                return []
            case ShuttingDown(reason):
                self._leaving = True
                attempts.drop_unstored()
                return attempts.say(m.Goodbye(reason=reason))

    def _turn(self, link: _Link) -> None:
        self._link = link
        self._attempts.talking = self._attempts.uploading = link is _Link.WELCOMED

    def _opened(self, session: str, now: float) -> list[Effect]:
        self._turn(_Link.GREETED)
        self._session = session
        self._heartbeats.restart(now)
        self._attempts.change_link()
        return self._hello()

    def _hello(self) -> list[Effect]:
        # Chunks wait for the welcome: it may rewind them.
        self._attempts.uploading = False
        return hello(self._facts, self._session, self._condition, self._attempts.inventory())

    def _read_input(self, event: InputReceived, now: float) -> list[Effect]:
        if not self.welcomed:
            return []
        self._heartbeats.heard(now)
        return self._inputs.received(event)

    def _read_content(self, chunk: ContentChunk, now: float) -> list[Effect]:
        if not self.welcomed:
            return []
        self._heartbeats.heard(now)
        return [ContentReceived(chunk)]

    def _tick(self, now: float) -> list[Effect]:
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

    def _received(self, message: m.ServerMessage, now: float) -> list[Effect]:
        if self._link not in (_Link.GREETED, _Link.WELCOMED):
            return []
        self._heartbeats.heard(now)
        try:
            return self._obey(message, now)
        except RemoteProtocolError as error:
            return self._close(error.code, str(error))

    def _obey(self, message: m.ServerMessage, now: float) -> list[Effect]:
        match message:
            case m.Welcome():
                return self._welcome(message)
            case m.Error(code=code, detail=detail):
                # Its own code, so that the link ends as if the server's close frame had come.
                own = CloseCode.__members__.get(code.upper(), CloseCode.NORMAL)
                return self._close(own, detail)
        if not self.welcomed:
            raise RemoteProtocolError(f"{message.type} came before the welcome")
        match message:
            case m.Offer():  # what comes for every job goes first: `isinstance` runs Python here
                return self._offer(message, now)
            case m.Confirm() | m.Settled() | m.Ack():
                return self._attempts.about(message, message.attempt, now)
            case m.HeartbeatAck():
                return self._heartbeat_acked(message)
            case m.SetMode(desired=desired):
                return [ApplyDesiredState(desired)]
            case m.Configure():
                self._heartbeats.interval = message.heartbeat_interval
                self._offer_ttl = message.offer_ttl
                self._capacity = message.assignment.capacity
                return [ApplyAssignment(message.assignment)]
            case m.ArtifactAck():
                return [ArtifactAnswered(message)]
            case m.ContentLost():
                return [ContentMissing(message)]
            case m.OwnLogAck(cursor=cursor):
                return [OwnLogStored(cursor)]
            case m.Resync():
                return self._hello()
            case m.InputEnd(attempt=key, size=size):
                return self._inputs.finish(key, size)
        return self._attempts.about(message, message.attempt, now)

    def _welcome(self, message: m.Welcome) -> list[Effect]:
        if (message.session, message.version) != (self._session, PROTOCOL_VERSION):
            raise RemoteProtocolError("the welcome is of another session or protocol version")
        self._turn(_Link.WELCOMED)
        self._heartbeats.interval = message.heartbeat_interval
        self._offer_ttl = message.offer_ttl
        self._capacity = message.assignment.capacity
        effects: list[Effect] = [
            Online(message),
            ContactConfirmed(self._heartbeats.confirmed_at),
            ApplyAssignment(message.assignment),
            ApplyDesiredState(message.desired),
        ]
        for ruling in message.rulings:
            effects += self._attempts.rule(ruling)
        return [*effects, WakeUploader()]

    def _heartbeat_acked(self, message: m.HeartbeatAck) -> list[Effect]:
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
        if not fits(self._capacity, attempts.running_specs(), offer.spec):
            text = "the agent runs as many jobs as were agreed"
            return attempts.refuse(key, offer.serial, Refusal.CAPACITY, text)
        attempts.offer(offer)
        urgent = offer.spec.on_disconnect.stop_after is not None
        # Answered before the job is confirmed, so that it starts with fresh contact.
        return [*(self._heartbeat(now) if urgent else ()), Store(offer)]
