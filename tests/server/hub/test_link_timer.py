"""`remote_server.hub.link_timer`: intervals that fit the fleet, turns in a large one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from remote_protocol import messages as m
from remote_protocol.errors import CloseCode
from remote_server.domain.events import AssignmentChanged, Event, HelloReceived, Tick
from remote_server.domain.model import Agent, Clock, Token
from remote_server.domain.session import AgentSession
from remote_server.hub.desired_state import assignment_of
from remote_server.hub.link_timer import AT_ONCE, HELLO_TIMEOUT, SPREAD, STEP, LinkTimer
from remote_server.hub.owner import HubTerms
from tests.support.live_hub import LiveHub

ROW = Agent("a", ("default",), {}, {"default": 4}, 0.0)
TOKEN = Token("0" * 26, "agent", "a", 0.0)
HELLO = m.Hello(oldest=1, newest=1, installation="fake", session="0" * 26, agent_version="x")


@dataclass(eq=False)
class StillLink:
    """A link as the timer sees it."""

    session: AgentSession | None
    name: str = "a"
    agent: Agent | None = ROW
    token: Token = TOKEN
    opened_at: float = 0.0
    fed: list[Event] = field(default_factory=list)
    closed: list[CloseCode] = field(default_factory=list)

    def feed(self, event: Event) -> None:
        self.fed.append(event)

    def close(self, code: CloseCode, detail: str) -> None:
        self.closed.append(code)


class Still:
    """A clock that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def timer_of(terms: HubTerms, clock: Still) -> LinkTimer:
    """A timer that does not wait for its ticks."""
    return LinkTimer(terms, Clock(time.time, clock), tick=0)


def greeted(timer: LinkTimer, agents: int, now: float) -> StillLink:
    """A welcomed agent in a fleet of so many."""
    session = AgentSession("a", 1, timer.terms(agents), now)
    session.handle(
        HelloReceived(HELLO, {}, frozenset(), {}, assignment_of(ROW), m.DesiredMode()), now
    )
    return StillLink(session)


def test_intervals_grow_with_the_fleet_and_are_staggered() -> None:
    timer = timer_of(HubTerms(15.0, 45.0), Still())
    assert timer.interval(1) == timer.interval(3000) == 15
    assert timer.interval(10_000) == 50
    small = [timer.terms(1) for _ in range(200)]
    intervals = {terms.heartbeat_interval for terms in small}
    assert len(intervals) > 100
    assert all(15 * (1 - SPREAD) <= interval <= 15 * (1 + SPREAD) for interval in intervals)
    assert all(terms.offer_ttl >= 45 for terms in small)
    large = timer.terms(10_000)
    assert large.offer_ttl == 3 * large.heartbeat_interval


async def test_a_grown_fleet_is_told_its_new_interval() -> None:
    clock = Still()
    timer = timer_of(HubTerms(15.0, 45.0), clock)
    links: dict[str, Any] = {str(n): greeted(timer, 1, clock.now) for n in range(4)}
    await timer.beat(links, [])
    assert all(link.fed == [] for link in links.values())
    timer.interval = lambda agents: 50.0  # type: ignore[method-assign]
    await timer.beat(links, [])
    for link in links.values():
        assert [type(event) for event in link.fed] == [AssignmentChanged]
        assert 45 <= link.session.terms.heartbeat_interval <= 55
    await timer.beat(links, [])
    assert all(len(link.fed) == 1 for link in links.values())


async def test_a_shrunken_fleet_is_told_step_by_step() -> None:
    clock = Still()
    timer = timer_of(HubTerms(15.0, 45.0), clock)
    link = greeted(timer, 20_000, clock.now)
    has, seen = link.session.terms.heartbeat_interval, []  # type: ignore[union-attr]
    for _ in range(20):
        await timer.beat({"a": link}, [])  # type: ignore[dict-item]
        now = link.session.terms.heartbeat_interval  # type: ignore[union-attr]
        # Silence is counted in the new interval while the agent may still wait for the old one.
        assert 3 * now > has
        has = now
        seen.append(now)
    assert seen[-1] <= 15 * STEP * (1 + SPREAD)


async def test_ticks_come_only_when_something_is_due() -> None:
    clock = Still()
    timer = timer_of(HubTerms(), clock)
    link = greeted(timer, 1, clock.now)
    await timer.beat({"a": link}, [])  # type: ignore[dict-item]
    assert link.fed == []
    clock.now += 100
    await timer.beat({"a": link}, [])  # type: ignore[dict-item]
    assert link.fed == [Tick()]


async def test_a_large_fleet_takes_turns() -> None:
    clock = Still()
    timer = timer_of(HubTerms(), clock)
    links: dict[str, Any] = {
        str(n): greeted(timer, 2_500, clock.now) for n in range(2 * AT_ONCE + 500)
    }
    clock.now += 1000
    for _ in range(3):
        await timer.beat(links, [])
    assert {len(link.fed) for link in links.values()} == {1}
    for _ in range(3):
        await timer.beat(links, [])
    assert {len(link.fed) for link in links.values()} == {2}


async def test_pending_links_have_a_while_to_say_hello() -> None:
    clock = Still()
    timer = timer_of(HubTerms(), clock)
    early = StillLink(None, opened_at=clock.now - HELLO_TIMEOUT - 1)
    late = StillLink(None, opened_at=clock.now)
    await timer.beat({}, [early, late])  # type: ignore[list-item]
    assert early.closed == [CloseCode.SILENT]
    assert late.closed == []


async def test_agents_hear_of_their_new_interval(place: LiveHub) -> None:
    async with place.agent() as agent:
        before = await agent.hello()
        place.hub.timer.interval = lambda agents: 100.0  # type: ignore[method-assign]
        told = await agent.hear(m.Configure)
        assert told.heartbeat_interval > 2 * before.heartbeat_interval
        assert told.offer_ttl >= 3 * told.heartbeat_interval


async def test_an_expired_token_ends_its_link(place: LiveHub) -> None:
    token = await place.store.create_token(
        "agent", "brief", "brief", time.time(), agent="brief", expires_at=time.time() + 3600
    )
    assert token.expires_at is not None
    place.tokens["brief"] = token
    async with place.agent("brief") as agent, place.agent() as other:
        await agent.hello()
        await other.hello()
        place.ahead += 3600
        assert "expired" in (await agent.hear(m.Error)).detail
        assert await agent.closed() == CloseCode.UNREGISTERED
        assert place.hub.slot("brief") is None
        job = await place.submit()
        assert (await other.offered()).job == job
