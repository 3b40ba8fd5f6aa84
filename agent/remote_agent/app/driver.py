"""The session driver: whatever happens goes into the session, its effects are carried out.

May touch whatever its ports reach, always at once and in order; nothing here waits. Between an
offer and the start of its process lie one write to the disk, shared by all offers of a turn of the
loop and made while the server is asked, and no other pause: that path is what users feel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import structlog

from remote_agent.app.ports import Ports, Watch
from remote_agent.errors import os_words
from remote_agent.local.desired_state import DesiredState
from remote_agent.processes import boottime, forbid_inspection
from remote_agent.session.capacity import unused
from remote_agent.session.effects import (
    Acknowledged,
    AppendInput,
    ApplyAssignment,
    ApplyDesiredState,
    ArtifactAnswered,
    CloseLink,
    ContactConfirmed,
    ContentMissing,
    ContentReceived,
    Effect,
    EndInput,
    ForbidInspection,
    Force,
    Forget,
    Kill,
    Online,
    OwnLogStored,
    Prepare,
    Send,
    Start,
    Stop,
    Store,
    WakeUploader,
)
from remote_agent.session.events import (
    AcceptanceFailed,
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
    Received,
    SettingsChanged,
    ShuttingDown,
    Tick,
)
from remote_agent.session.machine import Session
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import Chunk, ContentChunk
from remote_protocol.messages import (
    Assignment,
    Condition,
    Error,
    HostLoad,
    Refusal,
    ServerMessage,
    Settings,
    Welcome,
)

log = structlog.get_logger("agent")


class SessionDriver:
    """Feeds one session and carries out what it wants. `now` is the clock that never jumps."""

    def __init__(
        self,
        session: Session,
        desired: DesiredState,
        ports: Ports,
        now: Callable[[], float] = boottime,
    ) -> None:
        self.session = session
        self.desired = desired
        self.welcome: Welcome | None = None
        """The latest one; None before the first."""
        self.assignment: Assignment | None = None
        self.connected_at: float | None = None
        """By `now`; None while there is no welcomed link."""
        self.links = 0
        """Links that were opened."""
        self.watch: Watch | None = None
        self._ports = ports
        self._now = now
        self._events: deque[Event] = deque()
        self._busy = False
        self._condition = Condition()

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
                event = self._events.popleft()
                for effect in self.session.handle(event, self._now()):
                    CARRIED_OUT[type(effect)](self, effect)
                if type(event) is OfferFailed or type(event) is AcceptanceFailed:
                    self._failed(event)
                if self.watch is not None:
                    self._show(self.watch, event)
        finally:
            self._busy = False
            self._events.clear()

    def _show(self, watch: Watch, event: Event) -> None:
        key = getattr(event, "key", None)
        attempt = None if key is None else self.session.attempts.get(key)
        watch.seen(event, None if attempt is None else attempt.spec)

    def next_chunk(self) -> tuple[AttemptId, int, int] | None:
        """Attempt, offset and length of the log bytes to send next; None when there are none."""
        return self.session.next_chunk()

    def link_opened(self, session: str) -> None:
        """The link is open: say hello."""
        self.links += 1
        self.handle(LinkOpened(session))

    def link_received(self, message: ServerMessage) -> None:
        """A message came from the server."""
        # By type: a model's `isinstance` runs Python, for each message that is none.
        if type(message) is Error:
            log.error("the server refused this link", code=message.code, reason=message.detail)
        self.handle(Received(message))

    def link_input(self, chunk: Chunk | ContentChunk) -> None:
        """A piece of an input or of a content came from the server."""
        if isinstance(chunk, ContentChunk):
            self.handle(ContentChunkReceived(chunk))
            return
        self.handle(InputReceived(chunk.attempt, chunk.offset, chunk.payload))

    def link_closed(self, reason: str) -> None:
        """The link is gone."""
        self.connected_at = None
        self._ports.own_log.begin(None)
        self._ports.artifacts.stop()
        self._ports.contents.stop()
        self.handle(LinkClosed())
        self._report_status()

    def tick(self) -> None:
        """About a second went by."""
        self.handle(Tick())
        self.reconsider()

    def host_looked(self, load: HostLoad) -> None:
        """How busy the host is."""
        self.handle(HostLooked(load))

    def announce(self, settings: Settings) -> None:
        """The host's configuration says something else now."""
        self.handle(SettingsChanged(settings))

    def say_goodbye(self, reason: str) -> None:
        """The agent is about to exit."""
        self.handle(ShuttingDown(reason))

    def reconsider(self) -> None:
        """The desired state may have changed: tell the session, and so the server."""
        condition = self.desired.condition()
        if condition != self._condition:
            self._condition = condition
            if condition.accepting:
                log.info("taking jobs")
            else:
                log.warning("taking no jobs", reason=condition.reason)
            refusal = Refusal.DISK if self.desired.only_blocked else Refusal.PAUSED
            self.handle(ConditionChanged(condition, refusal))
        self._report_status()

    def _report_status(self) -> None:
        link = "server away" if self.connected_at is None else "online"
        reason = "" if self._condition.accepting else f", {self._condition.reason}"
        self._ports.status.report(f"{link}, {len(self.session.attempts)} jobs{reason}")

    # Out ---------------------------------------------------------------------------------

    def _prepare(self, effect: Prepare) -> None:
        if effect.secrets is not None:
            # They wait in this process's memory meanwhile.
            forbid_inspection()
        begin = partial(self._start, effect)
        self._ports.contents.prepare(effect.key, effect.spec, begin)

    def _stop(self, effect: Stop) -> None:
        self._ports.contents.drop(effect.key)
        self._ports.runner.stop(*effect)

    def _kill(self, effect: Kill) -> None:
        key, detail = effect
        log.warning("killing a superseded attempt", attempt=str(key), reason=detail)
        self._ports.contents.drop(key)
        self._ports.runner.kill(key, detail)

    def _forget(self, effect: Forget) -> None:
        key, ports = effect.key, self._ports
        ports.contents.drop(key)
        ports.uploader.forget(key)
        ports.runner.forget(key)

    def _append_input(self, effect: AppendInput) -> None:
        key, offset, payload = effect
        size = offset + len(payload)
        taken = self._ports.inputs.append(key, offset, payload)
        self.handle(InputStored(key, size) if taken else InputFailed(key))

    def _end_input(self, effect: EndInput) -> None:
        taken = self._ports.inputs.end(effect.key, effect.size)
        self.handle(InputEnded(effect.key) if taken else InputFailed(effect.key))

    def _apply_desired_state(self, effect: ApplyDesiredState) -> None:
        self.desired.server = effect.desired
        self.reconsider()

    def _apply_assignment(self, effect: ApplyAssignment) -> None:
        assignment = effect.assignment
        warning = unused(assignment.capacity, assignment.queues)
        if warning and assignment != self.assignment:
            log.warning(warning)
        self.assignment = assignment
        self._ports.runner.resize(sum(assignment.capacity.values()))

    def _close_link(self, effect: CloseLink) -> None:
        code, detail = effect
        log.warning("closing the link", code=code.name.lower(), reason=detail)
        self._ports.link.close(code, detail)

    def _start(self, effect: Start | Prepare) -> None:
        if effect.secrets is None:
            self._ports.runner.start(effect.key)
        else:
            self._ports.secrets.start_with_secrets(effect.key, effect.secrets)

    def _store(self, effect: Store) -> None:
        answer = self._ports.store.store(effect.offer)
        # It counts before the next offer is heard.
        if type(answer) is not OfferFailed and self._ports.shutdown.attempt_taken():
            self.reconsider()
        self.handle(answer)

    def _failed(self, event: OfferFailed | AcceptanceFailed) -> None:
        if isinstance(event, AcceptanceFailed) or event.reason is Refusal.DISK:
            # The host's fault: it takes no jobs until it can write one.
            self._ports.disk.refused(event.detail)
        self.reconsider()

    def _note_contact(self, effect: ContactConfirmed) -> None:
        try:
            self._ports.contact.note(effect.at)
        except OSError as error:
            reason = os_words(error, "the file `contact` in the state directory")
            log.warning(
                "the time of the last contact with the server cannot be written; jobs with"
                " stop_after may be ended",
                reason=reason,
            )

    def _online(self, effect: Online) -> None:
        welcome = self.welcome = effect.welcome
        self.connected_at = self._now()
        self._ports.own_log.begin(welcome.own_log)
        self._ports.artifacts.begin()
        self._ports.contents.begin()
        log.info(
            "online",
            agent=welcome.agent,
            queues=welcome.assignment.queues,
            capacity=welcome.assignment.capacity,
            attempts=len(self.session.attempts),
        )
        if self.watch is not None:
            self.watch.online(welcome)
        if welcome.warning:
            log.warning("the server warns", text=welcome.warning)
        self._report_status()


CARRIED_OUT: Final[dict[type[Effect], Callable[[SessionDriver, Any], None]]] = {
    Send: lambda driver, effect: driver._ports.link.send(effect.message),
    Store: SessionDriver._store,
    Force: lambda driver, effect: driver._ports.store.force(effect.key),
    ForbidInspection: lambda _, __: forbid_inspection(),
    Start: SessionDriver._start,
    Forget: SessionDriver._forget,
    WakeUploader: lambda driver, _: driver._ports.uploader.wake(),
    Acknowledged: lambda driver, effect: driver._ports.uploader.acknowledged(*effect),
    Prepare: SessionDriver._prepare,
    ContentReceived: lambda driver, effect: driver._ports.contents.received(effect.chunk),
    ContentMissing: lambda driver, effect: driver._ports.contents.lost(effect.lost),
    Stop: SessionDriver._stop,
    Kill: SessionDriver._kill,
    AppendInput: SessionDriver._append_input,
    EndInput: SessionDriver._end_input,
    Online: SessionDriver._online,
    ContactConfirmed: SessionDriver._note_contact,
    OwnLogStored: lambda driver, effect: driver._ports.own_log.stored(effect.cursor),
    ArtifactAnswered: lambda driver, effect: driver._ports.artifacts.answered(effect.ack),
    ApplyDesiredState: SessionDriver._apply_desired_state,
    ApplyAssignment: SessionDriver._apply_assignment,
    CloseLink: SessionDriver._close_link,
}
"""How each effect is carried out; a test compares it with `Effect`."""
