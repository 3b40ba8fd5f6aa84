"""A server's session under test, with words for what the agent says."""

from __future__ import annotations

from typing import Any

from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import Written, WrittenOffer, decode_from_server
from remote_protocol.messages import InventoryItem, Phase
from remote_protocol.spec import CommandSpec
from remote_protocol.states import AttemptState, EndReason
from remote_server.domain import events as ev
from remote_server.domain.events import Effect, Event, Record, Send
from remote_server.domain.model import Lease
from remote_server.domain.session import AgentSession, Terms

JOB = "01ARYZ6S410000000000000000"
LINK = "01ARYZ6S41000000000000000A"
KEY = AttemptId(JOB, 1)
OTHER_KEY = AttemptId("01ARYZ6S410000000000000001", 1)
SPEC = CommandSpec(command=["true"])
ASSIGNMENT = m.Assignment(queues=["default"], capacity={"default": 2})
TERMS = Terms("1.0", heartbeat_interval=10.0, offer_ttl=30.0)


def lease(state: AttemptState = AttemptState.OFFERED, key: AttemptId = KEY, **fields: Any) -> Lease:
    return Lease(key, "a", state, "default", None, SPEC, **fields)


def item(phase: Phase, key: AttemptId = KEY, size: int = 0) -> InventoryItem:
    return InventoryItem(attempt=key, phase=phase, size=size)


def ended(key: AttemptId = KEY, size: int = 0) -> m.Ended:
    return m.Ended(
        attempt=key,
        exit_code=0,
        end_reason=EndReason.EXIT,
        size=size,
        checksum=0,
        ended_at=1.0,
    )


class Talk:
    """One session; its clock only moves when told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.session = AgentSession("a", 3, TERMS, self.now)

    def do(self, event: Event) -> list[Effect]:
        return self.session.handle(event, self.now)

    def hear(self, message: m.AgentMessage) -> list[Effect]:
        return self.do(ev.MessageReceived(message))

    def tick(self, seconds: float) -> list[Effect]:
        self.now += seconds
        return self.do(ev.Tick())

    def say(self, kind: str, key: AttemptId = KEY, **fields: Any) -> list[Effect]:
        """A message about an attempt, by its type."""
        message = getattr(m, kind.capitalize())
        said = message(attempt=key, **fields)
        if isinstance(said, m.Missing):
            return self.do(ev.MissingReceived(said, 0))
        return self.hear(said)

    def hello(
        self,
        *items: InventoryItem,
        leases: tuple[Lease, ...] = (),
        ended: frozenset[AttemptId] = frozenset(),
        lengths: dict[AttemptId, int] | None = None,
        desired: m.DesiredMode | None = None,
        left_alone: frozenset[AttemptId] = frozenset(),
        moved: bool = False,
        **fields: Any,
    ) -> list[Effect]:
        known = {
            "oldest": 1,
            "newest": 1,
            "installation": "i",
            "session": LINK,
            "agent_version": "1.0",
        }
        return self.do(
            ev.HelloReceived(
                hello=m.Hello(**{**known, **fields}, inventory=list(items)),
                leases={lease.key: lease for lease in leases},
                ended=ended,
                lengths=lengths or {},
                assignment=ASSIGNMENT,
                desired=desired or m.DesiredMode(),
                left_alone=left_alone,
                moved=moved,
            )
        )

    def online(self) -> Talk:
        self.hello()
        return self

    def offer(self, key: AttemptId = KEY) -> list[Effect]:
        return self.do(ev.Offered(lease(key=key)))

    def running(self, key: AttemptId = KEY) -> Talk:
        """Offered, accepted and started on this very session."""
        (offer,) = sent(self.offer(key))
        assert isinstance(offer, m.Offer)
        self.say("accept", key, serial=offer.serial)
        self.say("started", key, pid=7, at=1.0)
        return self

    def chunk(self, offset: int, size: int, length: int, key: AttemptId = KEY) -> list[Effect]:
        return self.do(ev.ChunkReceived(key, offset, size, length))


def sent(effects: list[Effect]) -> list[m.ServerMessage]:
    """What was said, as models; leases of tests have no text, so that all offers are some."""
    said = [effect.message for effect in effects if isinstance(effect, Send)]
    return [
        decode_from_server(message.text) if isinstance(message, Written) else message
        for message in said
        if not isinstance(message, WrittenOffer)
    ]


def welcome_of(effects: list[Effect]) -> m.Welcome:
    (welcome,) = [message for message in sent(effects) if isinstance(message, m.Welcome)]
    return welcome


def kinds(effects: list[Effect]) -> list[str]:
    """What was said, recorded and done, except for what wakes the dispatcher."""
    names: list[str] = []
    for effect in effects:
        match effect:
            case Send(message):
                names.append(message.type)
            case Record(change):
                names.append(type(change).__name__)
            case ev.CapacityChanged():
                pass
            case _:
                names.append(type(effect).__name__)
    return names
