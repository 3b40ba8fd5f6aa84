"""Rows and domain types are the same things, both ways."""

from __future__ import annotations

from remote_protocol.messages import Condition, Platform
from remote_server.domain.model import Agent
from remote_server.store.rows import SELECT_AGENT, agent_from, agent_row
from remote_server.store.schema import agents
from remote_server.store.specifications import Specs
from remote_server.store.sqlite.transaction import STATEMENTS
from tests.support.stored import spec


def test_an_agent_survives_its_row() -> None:
    agent = Agent(
        name="a",
        queues=("x", "y"),
        labels={"k": "ü"},
        capacity={"default": 2, "big": 1},
        registered_at=1.5,
        paused=True,
        pause_comment="why",
        draining=True,
        drain_deadline_at=9.0,
        ephemeral=True,
        fingerprint="f",
        allowed_queues=("x",),
        announced="{}",
        version="1",
        platform=Platform(system="Linux", hostname="h"),
        boot_id="b",
        address="::1",
        epoch=7,
        connected_at=2.5,
        last_seen_at=3.5,
        condition=Condition(accepting=False, reason="disk"),
        process="p",
        restart_requested_at=4.5,
    )
    row = agent_row(agent)
    assert set(row) == set(agents.c.keys())
    values = [row[column.name] for column in SELECT_AGENT.selected_columns]
    assert agent_from(STATEMENTS[SELECT_AGENT].row(values)) == agent


def test_small_specifications_are_remembered_for_a_while() -> None:
    specs = Specs()
    text = spec(name="n").model_dump_json(exclude_defaults=True)
    first = specs.parse("j", text)
    assert specs.parse("j", text) is first
    specs.remember("big", first, " " * 1_000_000)
    specs.remember("big", first, text, " " * 1_000_000)
    assert specs.known("big") is None
    for number in range(3000):
        specs.remember(str(number), first, text)
    assert specs.known("j") is None
    assert specs.known("2999") == (first, text)
