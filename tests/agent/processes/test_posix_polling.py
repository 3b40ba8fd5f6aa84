"""Waiting on real pipes."""

from __future__ import annotations

import os

import pytest

from remote_agent.processes.posix_polling import Poller, close_end


def test_pipes_wake_until_they_end() -> None:
    waiter = Poller()
    first, first_end = waiter.pipe()
    second, second_end = waiter.pipe()
    waiter.add(first)
    waiter.add(second)
    assert waiter.wait(0) == []
    os.write(second_end, b"hello")
    assert waiter.wait(None) == [second]
    waiter.drop(second)
    assert waiter.wait(0) == [], "what is dropped waits in its pipe"
    waiter.add(second)
    assert waiter.read(second, 3) == b"hel" and waiter.read(second, 9) == b"lo"
    close_end(first_end)
    close_end(second_end)
    assert set(waiter.wait(1000)) == {first, second}
    for pipe in (first, second):
        assert waiter.read(pipe, 9) == b""
        waiter.drop(pipe)
        waiter.close(pipe)


def test_an_inlet_wakes_while_it_has_room() -> None:
    waiter = Poller()
    inlet, end = waiter.input_pipe()
    assert os.get_blocking(end) and not os.get_inheritable(inlet)
    waiter.add(inlet)
    assert waiter.wait(0) == [inlet] and waiter.idle(inlet)
    taken = 0
    while count := waiter.write(inlet, memoryview(bytes(1 << 18))):
        taken += count
    assert waiter.wait(0) == [], "it is full"
    assert len(os.read(end, taken)) > 0
    assert waiter.wait(1000) == [inlet]
    close_end(end)
    assert waiter.wait(1000) == [inlet]
    with pytest.raises(BrokenPipeError):
        waiter.write(inlet, memoryview(b"x"))
    waiter.drop(inlet)
    waiter.close(inlet)
