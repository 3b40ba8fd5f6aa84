"""A session under test, with words for what the server says."""

from __future__ import annotations

from typing import Any

from remote_agent.session import events as ev
from remote_agent.session.attempt import FoundAttempt
from remote_agent.session.effects import Acknowledged, Effect, Send
from remote_agent.session.hello import HostFacts
from remote_agent.session.machine import Session
from remote_protocol import messages as m
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import Written
from remote_protocol.messages import Phase, Verdict
from remote_protocol.spec import CommandSpec, JobSpec
from remote_protocol.states import EndReason

JOB = "01ARYZ6S410000000000000000"
OTHER = "01ARYZ6S410000000000000001"
LINK = "01ARYZ6S41000000000000000A"
KEY = AttemptId(JOB, 1)
OTHER_KEY = AttemptId(OTHER, 1)
SPEC = CommandSpec(command=["true"])
ASSIGNMENT = m.Assignment(queues=["default"], capacity={"default": 2})


def ended(key: AttemptId = KEY, size: int = 0, reason: EndReason = EndReason.EXIT) -> m.Ended:
    return m.Ended(
        attempt=key,
        exit_code=0,
        end_reason=reason,
        size=size,
        checksum=0,
        ended_at=1.0,
    )


class Talk:
    """One agent; its clock only moves when told."""

    def __init__(self) -> None:
        self.session = Session(HostFacts("1.0", "i", boot_id="b"))
        self.now = 100.0

    def do(self, event: ev.Event) -> list[Effect]:
        return self.session.handle(event, self.now)

    def hear(self, message: m.ServerMessage) -> list[Effect]:
        return self.do(ev.Received(message))

    def tick(self, seconds: float) -> list[Effect]:
        self.now += seconds
        return self.do(ev.Tick())

    def open(self, link: str = LINK) -> m.Hello:
        (effect,) = self.do(ev.LinkOpened(link))
        assert isinstance(effect, Send)
        assert isinstance(effect.message, m.Hello)
        return effect.message

    def welcome(self, *rulings: m.Ruling, session: str = LINK, **fields: Any) -> list[Effect]:
        terms = {"version": 1, "heartbeat_interval": 10.0, "offer_ttl": 30.0, **fields}
        return self.hear(
            m.Welcome(
                session=session,
                epoch=1,
                agent="a",
                assignment=ASSIGNMENT,
                rulings=list(rulings),
                **terms,
            )
        )

    def online(self) -> Talk:
        self.open()
        self.welcome()
        return self

    def offer(self, key: AttemptId = KEY, serial: int = 1, spec: JobSpec = SPEC) -> list[Effect]:
        return self.hear(m.Offer(attempt=key, spec=spec, serial=serial))

    def say(self, kind: str, key: AttemptId = KEY, **fields: Any) -> list[Effect]:
        """A message about an attempt, by its type."""
        message = getattr(m, kind.capitalize())
        return self.hear(message(attempt=key, **fields))

    def accepted(self, key: AttemptId = KEY, spec: JobSpec = SPEC) -> Talk:
        """Accepted, durable, not confirmed."""
        self.written(key, spec)
        self.do(ev.AcceptanceDurable(key))
        return self

    def written(self, key: AttemptId = KEY, spec: JobSpec = SPEC) -> Talk:
        """Accepted, and the disk may still forget it."""
        self.offer(key, spec=spec)
        self.do(ev.OfferStored(key))
        return self

    def running(self, key: AttemptId = KEY, spec: JobSpec = SPEC) -> Talk:
        self.accepted(key, spec)
        self.say("confirm", key)
        self.do(ev.AttemptStarted(key, 7, 1.0))
        return self

    def adopt(self, phase: Phase, key: AttemptId = KEY, size: int = 0, **fields: Any) -> Talk:
        self.session.adopt(FoundAttempt(key, SPEC, phase, size, **fields))
        return self


def ruling(verdict: Verdict, key: AttemptId = KEY, offset: int = 0) -> m.Ruling:
    return m.Ruling(attempt=key, verdict=verdict, offset=offset)


def sent(effects: list[Effect]) -> list[m.AgentMessage | Written]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def kinds(effects: list[Effect]) -> list[str]:
    """What was said and done: types of messages, names of other effects. What the server is known
    to have (`Acknowledged`) is left out: it comes with most messages, and has a test of its own."""
    return [
        effect.message.type if isinstance(effect, Send) else type(effect).__name__
        for effect in effects
        if not isinstance(effect, Acknowledged)
    ]
