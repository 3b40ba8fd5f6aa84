"""The host's own look at capacity."""

from __future__ import annotations

from remote_agent.session.capacity import fits, unused
from remote_protocol.spec import CommandSpec, JobSpec


def job(queue: str = "default", weight: float | None = None) -> JobSpec:
    return CommandSpec(command=["x"], queue=queue, weight=weight)


def test_no_more_than_was_agreed() -> None:
    capacity = {"default": 3, "big": 1, "none": 0}
    assert fits({}, [job()] * 100, job())
    assert fits(capacity, [job(), job("other")], job())
    assert not fits(capacity, [job(), job("other"), job()], job())
    assert fits(capacity, [job(), job(), job()], job("big"))
    assert not fits(capacity, [job("big")], job("big"))
    assert not fits(capacity, [], job("none"))
    assert not fits({"big": 1}, [], job())


def test_weights_are_shares() -> None:
    assert fits({"default": 1}, [job(weight=0.1)] * 9, job(weight=0.1))
    assert not fits({"default": 1}, [job(weight=0.1)] * 10, job(weight=0.1))
    assert not fits({"default": 4}, [job()], job(weight=1.0))


def test_a_class_that_is_no_queue_of_the_agent_is_named() -> None:
    assert unused({"default": 2, "a": 1}, ["a", "b"]) == unused({}, []) == ""
    assert "capacity for 'monitros' is never used" in unused(
        {"default": 2, "monitros": 3}, ["default", "monitors"]
    )
