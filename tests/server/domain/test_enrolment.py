"""A host's settings apply when they change; operators' edits survive in between."""

from __future__ import annotations

from dataclasses import replace

from remote_protocol.api import Registration
from remote_protocol.messages import Hello, Settings
from remote_server.domain.enrolment import announce, connected, newcomer, registered


def test_a_newcomer_serves_what_it_may() -> None:
    assert newcomer("a", (), 1.0).queues == ("default",)
    assert newcomer("a", ("x", "y"), 1.0).queues == ("x", "y")
    assert newcomer("a", (), 1.0).capacity == {"default": 4}


def test_only_what_changed_is_applied() -> None:
    first = announce(newcomer("a", (), 1.0), Settings(queues=["x"], labels={"k": "1"}))
    assert (first.queues, first.labels) == (("x",), {"k": "1"})
    edited = replace(first, queues=("operator",), capacity={"default": 9})
    assert announce(edited, Settings(queues=["x"], labels={"k": "1"})) == edited
    third = announce(edited, Settings(queues=["x"], labels={"k": "2"}))
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
        session="01ARZ3NDEKTSV4RRFFQ69G5FAV",
        agent_version="2",
        boot_id="b",
    )
    again = connected(connected(agent, hello, "h1", 5.0), hello, "h2", 6.0)
    assert (again.epoch, again.version, again.boot_id, again.address) == (2, "2", "b", "h2")
    assert again.connected_at == again.last_seen_at == 6.0
    assert again.fingerprint == "f"
