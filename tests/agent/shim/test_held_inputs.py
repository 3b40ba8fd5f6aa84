"""Who holds the writing end of a job's input, and until when."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from remote_agent.shim.held_inputs import HeldInputs


@pytest.fixture
def inputs() -> Iterator[HeldInputs]:
    made = HeldInputs()
    made.most = 10
    yield made
    made.close()


def ended(reading: int) -> bool:
    """Whether nobody has the writing end of this empty pipe."""
    return bool(select.select([reading], [], [], 0)[0]) and os.read(reading, 1) == b""


def test_an_input_lives_until_its_shim_lets_go_of_it(inputs: HeldInputs) -> None:
    reading, writing = os.pipe()
    if (shim := os.fork()) == 0:
        holder = inputs.become_holder()
        holder.hold(writing)
        os._exit(0)
    os.close(writing)
    os.waitpid(shim, 0)
    assert not ended(reading), "it is on its way to the launcher"
    inputs.take()
    assert not ended(reading)
    inputs.drop(shim)
    assert ended(reading)
    os.close(reading)


def test_an_input_that_is_complete_ends(inputs: HeldInputs) -> None:
    reading, writing = os.pipe()
    if (shim := os.fork()) == 0:
        holder = inputs.become_holder()
        holder.hold(writing)
        holder.release()
        os._exit(0)
    os.close(writing)
    os.waitpid(shim, 0)
    inputs.take()
    assert ended(reading)
    inputs.drop(shim)
    os.close(reading)


def test_a_new_shim_keeps_nothing_of_others(inputs: HeldInputs) -> None:
    reading, writing = os.pipe()
    if (first := os.fork()) == 0:
        inputs.become_holder().hold(writing)
        os._exit(0)
    os.close(writing)
    os.waitpid(first, 0)
    inputs.take()
    told, tell = os.pipe()
    if (second := os.fork()) == 0:
        inputs.become_holder()
        os.close(tell)
        os.read(told, 1)
        os._exit(0)
    inputs.drop(first)
    assert select.select([reading], [], [], 20)[0] and ended(reading)
    os.close(tell)
    os.waitpid(second, 0)
    for descriptor in (reading, told):
        os.close(descriptor)


def test_a_launcher_that_is_gone_disturbs_nobody(inputs: HeldInputs) -> None:
    reading, writing = os.pipe()
    holder = inputs.become_holder()
    holder.hold(writing)
    holder.release()
    os.close(writing)
    assert ended(reading)
    os.close(reading)


def test_no_more_are_held_than_there_is_room_for(inputs: HeldInputs) -> None:
    inputs.most = 1
    pipes = [os.pipe() for _ in range(2)]
    for _, writing in pipes:
        if (shim := os.fork()) == 0:
            inputs.become_holder().hold(writing)
            os._exit(0)
        os.waitpid(shim, 0)
        os.close(writing)
    inputs.take()
    assert [ended(reading) for reading, _ in pipes] == [False, True]
    for reading, _ in pipes:
        os.close(reading)
