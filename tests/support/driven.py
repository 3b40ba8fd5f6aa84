"""A session driver whose ports only remember what they were told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from remote_agent.app.driver import SessionDriver
from remote_agent.app.ports import Ports
from remote_agent.app.shutdown import FOREVER, Lifetime, OnStop, Shutdown
from remote_agent.execution.storing import AttemptStore
from remote_agent.local.desired_state import ClockReading, DesiredState
from remote_agent.session.hello import HostFacts
from remote_agent.session.machine import Session
from remote_agent.session.secret_needs import SecretNeeds
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import ContentChunk, Written, decode_from_agent
from remote_protocol.errors import CloseCode
from remote_protocol.limits import PROTOCOL_VERSION
from remote_protocol.messages import (
    AgentMessage,
    ArtifactAck,
    Assignment,
    Confirm,
    ContentLost,
    DesiredMode,
    Ended,
    Message,
    Offer,
    Ruling,
    ServerMessage,
    Welcome,
)
from remote_protocol.spec import CommandSpec, JobSpec
from remote_protocol.states import EndReason
from tests.support.fake_server import new_key

SPEC = CommandSpec(command=["true"])


class RecordingPort:
    """All ports in one. `full` makes every store fail."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.sent: list[Message] = []
        self.full = False
        self.contacts: list[float] = []
        self.refusals: list[str] = []
        self.statuses: list[str] = []

    def send(self, message: AgentMessage | Written) -> None:
        self.sent.append(decode_from_agent(message.text) if type(message) is Written else message)

    def close(self, code: CloseCode, detail: str) -> None:
        self.done.append(("close", code))

    def store(self, offer: Offer) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.done.append(("store", offer.attempt))

    unaccepted: frozenset[AttemptId] = frozenset()

    def mend(self) -> bool:
        return False

    def start(self, key: AttemptId) -> None:
        self.done.append(("start", key))

    def start_with_secrets(self, key: AttemptId, needs: SecretNeeds) -> None:
        self.done.append(("start", key, needs))

    def stop(self, key: AttemptId, reason: EndReason, detail: str) -> None:
        self.done.append(("stop", key, reason))

    def kill(self, key: AttemptId, detail: str) -> None:
        self.done.append(("kill", key))

    def forget(self, key: AttemptId) -> None:
        self.done.append(("forget", key))

    def resize(self, capacity: int) -> None:
        self.done.append(("resize", capacity))

    def append(self, key: AttemptId, offset: int, payload: memoryview) -> bool:
        self.done.append(("append", key, offset, bytes(payload)))
        return not self.full

    def end(self, key: AttemptId, size: int) -> bool:
        self.done.append(("end", key, size))
        return not self.full

    def wake(self) -> None:
        self.done.append(("wake",))

    def acknowledged(self, key: AttemptId, offset: int) -> None:
        self.done.append(("acknowledged", key, offset))

    def note(self, at: float) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.contacts.append(at)

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)

    def begin(self, cursor: str | None) -> None:
        self.done.append(("begin", cursor))

    def stored(self, cursor: str) -> None:
        self.done.append(("stored", cursor))

    def report(self, text: str) -> None:
        self.statuses.append(text)


class Nobody:
    """Sends no artifacts, and remembers what the server says of them."""

    def __init__(self) -> None:
        self.online = False
        self.acks: list[ArtifactAck] = []

    def begin(self) -> None:
        self.online = True

    def stop(self) -> None:
        self.online = False

    def answered(self, ack: ArtifactAck) -> None:
        self.acks.append(ack)


class NoContents:
    """Puts no files into place, and remembers what it was told of them."""

    def __init__(self) -> None:
        self.prepared: dict[AttemptId, Callable[[], None]] = {}
        self.told: list[Any] = []

    def prepare(self, key: AttemptId, spec: JobSpec, start: Callable[[], None]) -> None:
        self.prepared[key] = start

    def drop(self, key: AttemptId) -> None:
        self.prepared.pop(key, None)

    def begin(self) -> None:
        self.told.append("begin")

    def stop(self) -> None:
        self.told.append("stop")

    def received(self, chunk: ContentChunk) -> None:
        self.told.append(chunk)

    def lost(self, message: ContentLost) -> None:
        self.told.append(message)


class Driven:
    """A session driver on a clock of its own, with ports that remember."""

    def __init__(
        self, state_dir: Path, on_stop: OnStop = "leave", lifetime: Lifetime = FOREVER
    ) -> None:
        self.now = 1000.0
        self.port = port = RecordingPort()
        self.session = Session(HostFacts("test", "installation", process="p1"))
        self.desired = DesiredState(state_dir, lambda: ClockReading(self.now, self.now, "boot"))
        self.shutdown = Shutdown(
            self.session, self.desired, port.stop, lifetime, now=lambda: self.now
        )
        self.shutdown.on_stop = on_stop
        self.contents = NoContents()
        store = AttemptStore(port)  # type: ignore[arg-type]
        ports = Ports(
            link=port,
            store=store,
            runner=port,
            secrets=port,
            uploader=port,
            inputs=port,
            contact=port,
            disk=port,
            shutdown=self.shutdown,
            status=port,
            own_log=port,
            artifacts=Nobody(),
            contents=self.contents,
        )
        self.driver = SessionDriver(self.session, self.desired, ports, now=lambda: self.now)
        store.open(self.driver.handle)

    def welcome(
        self,
        desired: DesiredMode | None = None,
        rulings: list[Ruling] | None = None,
    ) -> None:
        """Open a link and have it welcomed."""
        session = new_key().job
        self.driver.link_opened(session)
        self.hear(
            Welcome(
                version=PROTOCOL_VERSION,
                session=session,
                epoch=1,
                agent="fake",
                heartbeat_interval=15.0,
                offer_ttl=45.0,
                assignment=Assignment(queues=["default"], capacity={"default": 3, "big": 2}),
                desired=desired or DesiredMode(),
                rulings=rulings or [],
            )
        )

    def hear(self, message: ServerMessage) -> None:
        """A message of the server."""
        self.driver.link_received(message)

    def take(self, confirm: bool = True, spec: JobSpec = SPEC) -> AttemptId:
        """Offer a job and, by default, confirm its acceptance."""
        key = new_key()
        self.hear(Offer(attempt=key, spec=spec))
        if confirm:
            self.hear(Confirm(attempt=key))
        return key

    def said(self, kind: type[Message]) -> list[Any]:
        """The messages of one type that were sent."""
        return [message for message in self.port.sent if isinstance(message, kind)]


def an_end(key: AttemptId, **more: Any) -> Ended:
    """An end without a log."""
    known: dict[str, Any] = {"exit_code": 0, "size": 0, "checksum": 0, "ended_at": 1.0}
    return Ended(attempt=key, end_reason=EndReason.EXIT, **{**known, **more})
