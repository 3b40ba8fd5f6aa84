"""A host whose link, runner and uploader only remember what they were told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from remote_agent.app.driver import Host, Organs
from remote_agent.local.desired_state import Moment, WishBook
from remote_agent.session.machine import HostFacts, Session
from remote_protocol.attempt_id import AttemptId
from remote_protocol.errors import CloseCode
from remote_protocol.limits import PROTOCOL_VERSION
from remote_protocol.messages import (
    AgentMessage,
    Assignment,
    Confirm,
    Ended,
    Message,
    Offer,
    Ruling,
    ServerMessage,
    Welcome,
    Wishes,
)
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason
from tests.support.fake_server import new_key

SPEC = JobSpec(command=["true"])


class Organ:
    """Link, runner, uploader and ledger in one. `full` makes every store fail."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.sent: list[Message] = []
        self.full = False
        self.remembered: dict[AttemptId, Ended] = {}

    def send(self, message: AgentMessage) -> None:
        self.sent.append(message)

    def close(self, code: CloseCode, detail: str) -> None:
        self.done.append(("close", code))

    def store(self, offer: Offer) -> None:
        if self.full:
            raise OSError(28, "No space left on device")
        self.done.append(("store", offer.attempt))

    def start(self, key: AttemptId) -> None:
        self.done.append(("start", key))

    def stop(self, key: AttemptId, reason: EndReason, detail: str) -> None:
        self.done.append(("stop", key, reason))

    def kill(self, key: AttemptId, detail: str) -> None:
        self.done.append(("kill", key))

    def forget(self, key: AttemptId) -> None:
        self.done.append(("forget", key))

    def resize(self, capacity: int) -> None:
        self.done.append(("resize", capacity))

    def add(self, ended: Ended) -> None:
        self.remembered[ended.attempt] = ended

    def keys(self) -> list[AttemptId]:
        return list(self.remembered)

    def find(self, keys: set[AttemptId]) -> list[Ended]:
        return [end for key, end in self.remembered.items() if key in keys]

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


class Body:
    """A host on a clock of its own, with organs that remember."""

    def __init__(self, state_dir: Path) -> None:
        self.now = 1000.0
        self.organ = Organ()
        wishes = WishBook(state_dir, lambda: Moment(self.now, self.now, "boot"))
        self.host = Host(Session(HostFacts("test", "i")), wishes, now=lambda: self.now)
        self.host.attach(Organs(*[self.organ] * 5))

    def welcome(
        self,
        wishes: Wishes | None = None,
        rulings: list[Ruling] | None = None,
    ) -> None:
        """Open a link and have it welcomed."""
        session = new_key().job
        self.host.link_opened(session)
        self.hear(
            Welcome(
                version=PROTOCOL_VERSION,
                session=session,
                epoch=1,
                agent="fake",
                heartbeat_interval=15.0,
                offer_ttl=45.0,
                assignment=Assignment(queues=["default"], capacity={"default": 3, "big": 2}),
                wishes=wishes or Wishes(),
                rulings=rulings or [],
            )
        )

    def hear(self, message: ServerMessage) -> None:
        """A message of the server."""
        self.host.link_received(message)

    def take(self, confirm: bool = True, spec: JobSpec = SPEC) -> AttemptId:
        """Offer a job and, by default, confirm its acceptance."""
        key = new_key()
        self.hear(Offer(attempt=key, spec=spec))
        if confirm:
            self.hear(Confirm(attempt=key))
        return key

    def said(self, kind: type[Message]) -> list[Any]:
        """The messages of one type that were sent."""
        return [message for message in self.organ.sent if isinstance(message, kind)]


def an_end(key: AttemptId, **more: Any) -> Ended:
    """An end without a log."""
    known: dict[str, Any] = {"exit_code": 0, "size": 0, "checksum": 0, "ended_at": 1.0}
    return Ended(attempt=key, end_reason=EndReason.EXIT, **{**known, **more})
