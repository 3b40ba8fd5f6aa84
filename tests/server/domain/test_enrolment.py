"""A host's settings apply when they change; operators' edits survive in between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from remote_protocol.api.agents import AgentChange
from remote_protocol.api.registration import Registration
from remote_protocol.messages import Hello, Settings
from remote_server.domain.enrolment import (
    ANY,
    Grant,
    allow,
    announce,
    connected,
    edited,
    left_out,
    newcomer,
    registered,
    uncovered,
)
from remote_server.domain.model import Agent

ALL = Grant((ANY,))


def enrolled(settings: Settings, grant: Grant = ALL) -> Agent:
    return registered(newcomer("a", grant, 1.0), Registration(name="a", settings=settings), grant)


def test_a_newcomer_serves_what_it_may() -> None:
    assert newcomer("a", (), 1.0).queues == ("default",)
    assert newcomer("a", ("x", "y"), 1.0).queues == ("x", "y")
    assert newcomer("a", ALL, 1.0).allowed_queues == ("default",)
    assert newcomer("a", (), 1.0).capacity == {"default": 4}


def test_what_is_registered_is_allowed() -> None:
    agent = enrolled(Settings(queues=["x", "y"], labels={"k": "1"}, capacity={"default": 8}))
    assert (agent.queues, agent.allowed_queues) == (("x", "y"), ("x", "y"))
    assert agent.labels == agent.allowed_labels == {"k": "1"}
    assert agent.capacity == agent.allowed_capacity == {"default": 8}
    partly = enrolled(Settings(queues=["x", "y"]), Grant(("y",)))
    assert (partly.queues, partly.allowed_queues) == (("y",), ("y",))


def test_a_hello_only_narrows() -> None:
    agent = enrolled(Settings(queues=["x", "y"], labels={"k": "1"}, capacity={"default": 8}))
    more = Settings(
        queues=["x", "prod"],
        labels={"k": "2", "trust": "high"},
        capacity={"default": 99, "monitors": 5},
    )
    narrowed = announce(agent, more)
    assert (narrowed.queues, narrowed.labels, narrowed.capacity) == (("x",), {}, {"default": 8})
    assert left_out(narrowed, more) == (
        "its host asks for more than the server allows; left out: queue 'prod', label k=2, label "
        "trust=high, capacity default=99 (8 is allowed), capacity monitors=5 (none is allowed); an "
        "admin may allow it (remotectl agent set a), or register the agent again with a "
        "registration token that covers it"
    )
    less = Settings(queues=["y"], labels={}, capacity={"default": 2})
    again = announce(narrowed, less)
    assert (again.queues, again.labels, again.capacity) == (("y",), {}, {"default": 2})
    assert left_out(again, less) == ""
    # What is allowed did not change: the host has all of it back when it says so.
    back = announce(again, Settings(queues=["x", "y"], labels={"k": "1"}, capacity={"default": 8}))
    assert (back.queues, back.labels, back.capacity) == (("x", "y"), {"k": "1"}, {"default": 8})
    assert announce(back, Settings(queues=["prod"])).queues == ("x", "y")
    assert announce(back, Settings(capacity={"default": 0})).capacity == {"default": 0}


def test_the_sentence_about_what_is_left_out_is_short() -> None:
    agent = enrolled(Settings())
    many = Settings(queues=[f"q{n}" for n in range(100)], labels={f"l{n}": "" for n in range(64)})
    said = left_out(agent, many)
    assert "queue 'q4' and 159 more" in said
    assert len(said) < 500


def test_an_operators_edit_is_what_is_allowed() -> None:
    agent = enrolled(Settings(queues=["x"], labels={"k": "1"}, capacity={"default": 8}))
    agent = edited(agent, AgentChange(queues=["x", "y", "y"], capacity={"default": 20}))
    assert (agent.queues, agent.allowed_queues) == (("x", "y"), ("x", "y"))
    assert announce(agent, Settings(queues=["y"])).queues == ("y",)
    more = announce(agent, Settings(capacity={"default": 15}))
    assert more.capacity == {"default": 15}
    none = edited(agent, AgentChange(labels={}))
    assert announce(none, Settings(labels={"k": "1", "z": "2"})).labels == {}


def test_labels_of_the_server_are_not_the_hosts() -> None:
    grant = Grant(("x",), {"trust": "high", "zone": "a"})
    agent = enrolled(Settings(labels={"os": "linux", "trust": "low"}), grant)
    assert agent.labels == {"os": "linux", "trust": "high", "zone": "a"}
    said = Settings(labels={"trust": "low", "zone": "a"})
    agent = announce(agent, said)
    assert agent.labels == {"trust": "high", "zone": "a"}
    assert "label trust=low" in left_out(agent, said)
    assert "zone" not in left_out(agent, said)
    # An admin may take them away, and then the host has no say in them either.
    agent = edited(agent, AgentChange(labels={"zone": "a", "os": "linux"}))
    assert (agent.server_labels, agent.allowed_labels) == ({"zone": "a"}, {"os": "linux"})
    assert "trust" not in announce(agent, Settings(labels={"trust": "high"})).labels


def test_registering_again_widens_what_its_token_covers() -> None:
    agent = enrolled(Settings(queues=["x"], capacity={"default": 2}), Grant(("x",)))
    wider = Settings(queues=["x", "y"], labels={"k": "1"}, capacity={"default": 9})
    announced = announce(agent, wider)
    assert announced.queues == ("x",)
    again = registered(announced, Registration(name="a", settings=wider), Grant(("x", "y")))
    assert (again.queues, again.labels, again.capacity) == (
        ("x", "y"),
        {"k": "1"},
        {"default": 9},
    )
    # With the agent's own token it stays as it is.
    own = registered(announced, Registration(name="a", settings=wider))
    assert (own.queues, own.labels, own.capacity) == (("x",), {}, {"default": 2})
    # A host that asks for nothing keeps what it has.
    assert allow(again, Settings(), Grant(("z",))) == again
    given = allow(again, Settings(), Grant((), {"trust": "1"}))
    assert given.labels == {"k": "1", "trust": "1"}


def test_what_a_token_covers() -> None:
    assert (Grant().usual, Grant(("x",)).usual, ALL.usual) == (("default",), ("x",), ("default",))
    assert uncovered([Grant()], ["default", "x"]) == ["x"]
    assert uncovered([Grant(), Grant(("x",))], ["default", "x"]) == []
    assert uncovered([ALL], ["default", "x"]) == []


def test_only_what_changed_is_applied() -> None:
    wide = replace(
        newcomer("a", ("x", "y"), 1.0), allowed_labels={"k": "1"}, allowed_capacity={"default": 9}
    )
    first = announce(wide, Settings(queues=["x"], labels={"k": "1"}))
    assert (first.queues, first.labels) == (("x",), {"k": "1"})
    own = replace(first, queues=("operator",), capacity={"default": 9}, allowed_labels={"k": "2"})
    assert announce(own, Settings(queues=["x"], labels={"k": "1"})) == own
    third = announce(own, Settings(queues=["x"], labels={"k": "2"}))
    assert (third.queues, third.labels) == (("operator",), {"k": "2"})
    fourth = announce(third, Settings(queues=["y"], labels={"k": "2"}, capacity={"default": 2}))
    assert (fourth.queues, fourth.capacity) == (("y",), {"default": 2})
    # What the host no longer says stays as it is.
    assert announce(fourth, Settings()).queues == ("y",)


def test_queues_outside_the_allowance_are_left_out() -> None:
    agent = newcomer("a", ("x", "y"), 1.0)
    assert announce(agent, Settings(queues=["prod", "y", "y"])).queues == ("y",)
    assert announce(agent, Settings(queues=["prod"])).queues == ("x", "y")


def test_registering_and_connecting_note_the_host() -> None:
    registration = Registration(name="a", fingerprint="f", agent_version="1", ephemeral=True)
    agent = registered(newcomer("a", (), 1.0), registration)
    assert (agent.fingerprint, agent.version, agent.ephemeral) == ("f", "1", True)
    hello = Hello(
        oldest=1,
        newest=1,
        installation="i",
        session="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        agent_version="2",
        boot_id="b",
    )
    again = connected(connected(agent, hello, "h1", 5.0), hello, "h2", 6.0)
    assert (again.epoch, again.version, again.boot_id, again.address) == (2, "2", "b", "h2")
    assert again.connected_at == again.last_seen_at == 6.0
    assert again.fingerprint == "f"


QUEUES = st.lists(st.sampled_from(["w", "x", "y", "z"]), unique=True, max_size=3)
SAID = st.builds(Settings, queues=st.none() | QUEUES)
WAYS = st.one_of(
    st.tuples(st.just("hello"), SAID),
    st.tuples(st.just("reload"), SAID),
    st.tuples(st.just("own token"), SAID),
    st.tuples(st.just("registration token"), SAID, QUEUES),
    st.tuples(st.just("edit"), QUEUES.filter(bool)),
)


@settings(deadline=None)
@given(st.lists(WAYS, max_size=12))
def test_whatever_happens_an_agent_serves_what_somebody_allowed(ways: list[Any]) -> None:
    agent = enrolled(Settings(queues=["x"]), Grant(("x", "y")))
    allowed = {"x"}
    for way, said, *more in ways:
        if way == "edit":
            agent, allowed = edited(agent, AgentChange(queues=said)), set(said)
        elif way == "hello":
            agent = connected(
                agent,
                Hello(
                    oldest=1,
                    newest=1,
                    installation="i",
                    session="0" * 26,
                    agent_version="1",
                    settings=said,
                ),
                "",
                1.0,
            )
        elif way == "reload":
            agent = announce(agent, said)
        elif way == "own token":
            agent = registered(agent, Registration(name="a", settings=said))
        else:
            grant = Grant(tuple(more[0]))
            if not uncovered([grant], said.queues or ()):
                allowed |= set(said.queues or ())
            agent = registered(agent, Registration(name="a", settings=said), grant)
            allowed |= {queue for queue in said.queues or () if grant.covers(queue)}
        assert agent.queues, "it always serves something"
        assert set(agent.queues) <= set(agent.allowed_queues) <= allowed
