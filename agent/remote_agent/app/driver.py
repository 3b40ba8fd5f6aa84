"""The heart of the agent: whatever happens goes into the session, its effects are carried out.

May touch everything below it, always at once and in order; nothing here waits. Between an offer
and the start of its process lie one fsync and not a single pause: that path is what users feel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from remote_agent.errors import os_words
from remote_agent.journal.directory import NumberUsed
from remote_agent.journal.users import NoUserFree
from remote_agent.local.desired_state import WishBook
from remote_agent.processes import boottime
from remote_agent.session.capacity import unused
from remote_agent.session.effects import (
    AppendInput,
    ApplyAssignment,
    ApplyWishes,
    CloseLink,
    Effect,
    EndInput,
    Forget,
    Kill,
    LookUp,
    Online,
    Proven,
    Recount,
    Remember,
    Send,
    Start,
    Stop,
    Store,
    WakeUploader,
)
from remote_agent.session.events import (
    ConditionChanged,
    Event,
    Found,
    InputEnded,
    InputFailed,
    InputReceived,
    InputStored,
    Leaving,
    LinkClosed,
    LinkOpened,
    OfferFailed,
    OfferStored,
    Received,
    Recounted,
    SettingsChanged,
    Tick,
)
from remote_agent.session.machine import Session
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import Chunk
from remote_protocol.errors import CloseCode
from remote_protocol.limits import MAX_TEXT
from remote_protocol.messages import (
    Ack,
    AgentMessage,
    Assignment,
    Condition,
    Ended,
    Error,
    Offer,
    Refusal,
    ServerMessage,
    Settings,
    Welcome,
)
from remote_protocol.states import EndReason

log = structlog.get_logger("agent")


class Wire(Protocol):
    """The link, as far as effects need it."""

    def send(self, message: AgentMessage) -> None:
        """Write a message now."""

    def close(self, code: CloseCode, detail: str) -> None:
        """Close the link; a new one is made."""


class Starter(Protocol):
    """The runner, as far as effects need it."""

    def store(self, offer: Offer) -> None:
        """Make an attempt's directory durable. OSError when the disk refuses."""

    def start(self, key: AttemptId) -> None:
        """Have a shim run the attempt."""

    def stop(self, key: AttemptId, reason: EndReason, detail: str) -> None:
        """End it politely."""

    def kill(self, key: AttemptId, detail: str) -> None:
        """End it at once."""

    def forget(self, key: AttemptId) -> None:
        """The server needs nothing more of it."""

    def resize(self, capacity: int) -> None:
        """So many attempts may run at a time."""


class Copies(Protocol):
    """The copies of inputs, as far as effects need them."""

    def append(self, key: AttemptId, offset: int, payload: memoryview) -> bool:
        """Write a piece at the end of a copy; False when the disk does not take it."""

    def end(self, key: AttemptId, size: int) -> bool:
        """Note that a copy is complete; False when the disk does not take it."""


class Memory(Protocol):
    """The ledger of settled ends, as far as effects need it."""

    def add(self, ended: Ended) -> None:
        """Keep one for a server that forgets."""

    def keys(self) -> list[AttemptId]:
        """The attempts whose ends are kept."""

    def find(self, keys: set[AttemptId]) -> list[Ended]:
        """Their ends."""


class Sender(Protocol):
    """The uploader, as far as effects need it."""

    def wake(self) -> None:
        """There may be something to send."""

    def forget(self, key: AttemptId) -> None:
        """Nothing of this attempt is sent any more."""

    def acknowledged(self, key: AttemptId, offset: int) -> None:
        """The server has all before `offset`."""


@dataclass(frozen=True, slots=True)
class Organs:
    """What the effects act upon."""

    link: Wire
    runner: Starter
    uploader: Sender
    ledger: Memory
    inputs: Copies


class Host:
    """Feeds one session and carries out what it wants."""

    def __init__(
        self, session: Session, wishes: WishBook, now: Callable[[], float] = boottime
    ) -> None:
        self.session = session
        self.wishes = wishes
        self.welcome: Welcome | None = None
        """The latest one; None before the first."""
        self.assignment: Assignment | None = None
        self.connected_at: float | None = None
        """By `now`; None while there is no welcomed link."""
        self.on_change: Callable[[], None] = lambda: None
        """Called after the condition or the link may have changed."""
        self.on_taken: Callable[[], None] = lambda: None
        """Called when an attempt was taken, before anything else is heard."""
        self.on_contact: Callable[[float], None] = lambda at: None
        """Called when the server has answered what was sent at this moment, by `now`."""
        self.on_trouble: Callable[[str], None] = lambda reason: None
        """Called when the disk has refused an attempt."""
        self._now = now
        self._organs: Organs | None = None
        self._events: deque[Event] = deque()
        self._busy = False
        self._condition = Condition()

    def attach(self, organs: Organs) -> None:
        """Connect the organs; before the first event."""
        self._organs = organs
        self.reconsider()

    # In ----------------------------------------------------------------------------------

    def handle(self, event: Event) -> None:
        """Let the session decide about an event and do what it says.

        Effects may report events of their own while they are carried out: those wait for their
        turn, so that the session is never entered twice.
        """
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                for effect in self.session.handle(self._events.popleft(), self._now()):
                    self._perform(effect)
        finally:
            self._busy = False
            self._events.clear()

    def link_opened(self, session: str) -> None:
        """The link is open: say hello."""
        self.handle(LinkOpened(session))

    def link_received(self, message: ServerMessage) -> None:
        """A message came from the server."""
        self.handle(Received(message))
        # By type: a model's `isinstance` runs Python, for each message that is none.
        if type(message) is Ack and message.attempt in self.session.attempts:
            self._sender.acknowledged(message.attempt, message.offset)
        elif type(message) is Error:
            log.error("the server refused this link", code=message.code, reason=message.detail)

    def link_fed(self, chunk: Chunk) -> None:
        """A piece of an input came from the server."""
        self.handle(InputReceived(chunk.attempt, chunk.offset, chunk.payload))

    def link_closed(self, reason: str) -> None:
        """The link is gone."""
        self.connected_at = None
        self.handle(LinkClosed())
        self.on_change()

    def tick(self) -> None:
        """About a second went by."""
        self.handle(Tick())

    def announce(self, settings: Settings) -> None:
        """The host's configuration says something else now."""
        self.handle(SettingsChanged(settings))

    def leave(self, reason: str) -> None:
        """Say goodbye."""
        self.handle(Leaving(reason))

    def reconsider(self) -> None:
        """Wishes or hindrances may have changed: tell the session, and so the server."""
        condition = self.wishes.condition()
        if condition != self._condition:
            self._condition = condition
            if condition.accepting:
                log.info("taking jobs")
            else:
                log.warning("taking no jobs", reason=condition.reason)
            refusal = Refusal.DISK if self.wishes.only_hindered else Refusal.PAUSED
            self.handle(ConditionChanged(condition, refusal))
        self.on_change()

    # Out ---------------------------------------------------------------------------------

    @property
    def _sender(self) -> Sender:
        assert self._organs is not None, "attach comes before events"
        return self._organs.uploader

    def _perform(self, effect: Effect) -> None:
        organs = self._organs
        assert organs is not None, "attach comes before events"
        match effect:
            case Send(message):
                organs.link.send(message)
            case WakeUploader():
                organs.uploader.wake()
            case Store(offer):
                self._store(offer)
            case Start(key):
                organs.runner.start(key)
            case Stop(key, reason, detail):
                organs.runner.stop(key, reason, detail)
            case Kill(key, detail):
                log.warning("an attempt was superseded", attempt=str(key), reason=detail)
                organs.runner.kill(key, detail)
            case Forget(key):
                organs.uploader.forget(key)
                organs.runner.forget(key)
            case AppendInput(key, offset, payload):
                size = offset + len(payload)
                taken = organs.inputs.append(key, offset, payload)
                self.handle(InputStored(key, size) if taken else InputFailed(key))
            case EndInput(key, size):
                taken = organs.inputs.end(key, size)
                self.handle(InputEnded(key) if taken else InputFailed(key))
            case Remember(ended):
                organs.ledger.add(ended)
            case Recount():
                self.handle(Recounted(tuple(organs.ledger.keys())))
            case LookUp(keys):
                self.handle(Found(tuple(organs.ledger.find(set(keys)))))
            case Online(welcome):
                self._online(welcome)
            case Proven(at):
                self.on_contact(at)
            case ApplyWishes(wishes):
                self.wishes.server = wishes
                self.reconsider()
            case ApplyAssignment(assignment):
                warning = unused(assignment.capacity, assignment.queues)
                if warning and assignment != self.assignment:
                    log.warning(warning)
                self.assignment = assignment
                organs.runner.resize(sum(assignment.capacity.values()))
            case CloseLink(code, detail):
                log.warning("closing the link", code=code.name.lower(), reason=detail)
                organs.link.close(code, detail)

    def _store(self, offer: Offer) -> None:
        assert self._organs is not None
        key = offer.attempt
        try:
            self._organs.runner.store(offer)
        except NumberUsed as error:
            log.error("an offer was refused", attempt=str(key), reason=str(error))
            self.handle(OfferFailed(key, Refusal.USED, str(error)))
        except NoUserFree as error:
            self.handle(OfferFailed(key, Refusal.CAPACITY, str(error)))
        except OSError as error:
            # The host's fault: it takes no jobs, until it can write one.
            why = os_words(error, "the state directory")
            text = f"the attempt cannot be written to the disk: {why}"
            log.error("an offer was refused", attempt=str(key), reason=text)
            self.handle(OfferFailed(key, Refusal.DISK, text))
            self.on_trouble(why)
        except Exception as error:
            # One job that this agent cannot even prepare must not take the agent down, again and
            # again with each new offer of it.
            log.exception("an offer cannot be prepared", attempt=str(key))
            text = f"this agent cannot prepare the job: {error}"[:MAX_TEXT]
            self.handle(OfferFailed(key, Refusal.POLICY, text))
        else:
            self.handle(OfferStored(key))
            self.on_taken()

    def _online(self, welcome: Welcome) -> None:
        self.welcome = welcome
        self.connected_at = self._now()
        log.info(
            "online",
            agent=welcome.agent,
            queues=welcome.assignment.queues,
            capacity=welcome.assignment.capacity,
            attempts=len(self.session.attempts),
        )
        if welcome.warning:
            log.warning("the server warns", text=welcome.warning)
        for ruling in welcome.rulings:
            self._sender.acknowledged(ruling.attempt, ruling.offset)
        self.on_change()
