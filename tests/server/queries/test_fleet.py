"""All agents together."""

from __future__ import annotations

from typing import Any

import pytest

from remote_protocol.messages import Hello, Platform, Settings
from remote_protocol.states import AgentState
from remote_server.domain.links import AgentStatus
from remote_server.queries.fleet import FleetReader, Member, Wanted, chosen, condition_of, tally
from remote_server.queries.sources import Sources
from remote_server.slices import SLICE
from remote_server.store import Store
from remote_server.store.fleet import FleetRow
from tests.support.fake_links import FakeLinks
from tests.support.loop_turns import loop_turns
from tests.support.stored import NOW


def member(name: str = "a", state: str = "online", **fields: Any) -> Member:
    row = FleetRow(
        name, ("default",), {}, {"default": 2}, False, "", False, "1", True, "", None, "{}"
    )._replace(**fields)
    found = AgentState(state)
    condition = condition_of(
        found, paused=row.paused, draining=row.draining, accepting=row.accepting
    )
    return Member(row, found, condition)


def test_what_it_is_told_first_counts_first() -> None:
    def of(state: AgentState = AgentState.ONLINE, **said: bool) -> str:
        flags = {"paused": False, "draining": False, "accepting": True} | said
        return condition_of(state, **flags)

    assert of() == "online"
    assert of(accepting=False) == "warning"
    assert of(accepting=False, paused=True) == "paused"
    assert of(paused=True, draining=True) == "draining"
    assert of(AgentState.STALE, paused=True) == "stale"
    assert of(AgentState.OFFLINE, draining=True) == "offline"


def test_agents_are_counted_by_state() -> None:
    members = [
        member("a"),
        member("b", paused=True),
        member("c", accepting=False),
        member("d", "stale"),
        member("e", "offline", paused=True),
    ]
    assert tally(members) == (5, 3, 1, 1, 2)
    assert members[0].places == 2


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(), True),
        (Wanted(text="BER"), True),
        (Wanted(text="vm-7"), True),
        (Wanted(text="by four"), True),
        (Wanted(text="hostname"), False),
        (Wanted(state="online"), True),
        (Wanted(state="held"), True),
        (Wanted(state="offline"), False),
        (Wanted(queue="default"), True),
        (Wanted(queue="def"), False),
        (Wanted(label="site"), True),
        (Wanted(label="site=berlin"), True),
        (Wanted(label="site=oslo"), False),
        (Wanted(label="gpu"), False),
        (Wanted(version="1"), True),
        (Wanted(version="2"), False),
        (Wanted(text="ber", label="site", state="held", queue="default"), True),
    ],
)
def test_a_filter_leaves_the_agents_that_are_meant(wanted: Wanted, fits: bool) -> None:
    one = member(
        "ber-01",
        paused=True,
        pause_comment="back by four",
        labels={"site": "berlin"},
        platform='{"hostname": "vm-7"}',
    )
    assert wanted.fits(one) is fits


async def test_all_agents_are_read_with_how_they_are(
    sources: Sources, store: Store, links: FakeLinks
) -> None:
    hello = Hello(
        oldest=1,
        newest=1,
        installation="i",
        session="0" * 26,
        agent_version="1",
        settings=Settings(),
        platform=Platform(),
    )
    reader = FleetReader(sources)
    assert await reader.members() == []
    for name in ("b", "a"):
        await store.bump_epoch(name, hello, "", NOW)
    links.statuses["b"] = AgentStatus(AgentState.ONLINE)
    await store.set_wishes("b", NOW, paused=True)
    found = [(one.row.name, one.state, one.condition) for one in await reader.members()]
    assert found == [("a", "offline", "offline"), ("b", "online", "paused")]


async def test_others_run_while_somebody_looks_for_agents() -> None:
    members = [member(f"a{number}") for number in range(SLICE * 4)]
    found, turns = await loop_turns(chosen(members, Wanted(text="A1")))
    assert [one.row.name for one in found] == [
        one.row.name for one in members if "a1" in one.row.name
    ]
    assert turns >= 3
