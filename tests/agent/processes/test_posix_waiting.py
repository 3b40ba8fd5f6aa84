"""Waiting on real pipes."""

from __future__ import annotations

import os

from remote_agent.processes.posix_waiting import Waiter, close_end


def test_pipes_wake_until_they_end() -> None:
    waiter = Waiter()
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
