"""Waiting on real pipes, events and processes."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import _winapi
import threading

import pytest

from remote_agent.processes.windows import api
from remote_agent.processes.windows.polling import Poller, close_end


def test_pipes_wake_until_they_end() -> None:
    waiter = Poller()
    first, first_end = waiter.pipe()
    second, second_end = waiter.pipe()
    waiter.add(first)
    waiter.add(second)
    assert waiter.wait(0) == []
    _winapi.WriteFile(second_end, b"hello")
    assert waiter.wait(None) == [second]
    waiter.drop(second)
    assert waiter.wait(0) == []
    waiter.add(second)
    assert waiter.wait(0) == [second], "what was brought is kept"
    assert waiter.read(second, 3) == b"hel" and waiter.wait(0) == [second]
    assert waiter.read(second, 9) == b"lo" and waiter.wait(0) == []
    close_end(first_end)
    close_end(second_end)
    assert set(waiter.wait(1000)) == {first, second}
    for pipe in (first, second):
        assert waiter.read(pipe, 9) == b""
        waiter.drop(pipe)
        waiter.close(pipe)


def test_a_job_waits_while_nobody_reads() -> None:
    waiter = Poller()
    pipe, end = waiter.pipe()
    data = b"x" * (8 << 20)
    done = threading.Event()

    def flood() -> None:
        for start in range(0, len(data), 1 << 16):
            _winapi.WriteFile(end, data[start : start + (1 << 16)])
        close_end(end)
        done.set()

    writer = threading.Thread(target=flood)
    writer.start()
    assert not done.wait(0.5), "the pipe holds no eight megabytes"
    waiter.add(pipe)
    got = 0
    while True:
        assert waiter.wait(20_000) == [pipe]
        part = waiter.read(pipe, 1 << 18)
        if not part:
            break
        got += len(part)
    writer.join()
    assert got == len(data)
    waiter.drop(pipe)
    waiter.close(pipe)


def test_events_that_reset_themselves_wake_once() -> None:
    waiter = Poller()
    event = int(api.check(api.create_event(None, False, True, None)))
    waiter.add(event)
    assert waiter.wait(1000) == [event] and waiter.wait(0) == []
    api.close_handle(event)


def test_an_inlet_wakes_when_what_was_written_is_taken() -> None:
    waiter = Poller()
    inlet, end = waiter.inlet()
    waiter.add(inlet)
    assert waiter.wait(0) == [inlet] and waiter.idle(inlet)
    data = bytes(range(256)) * 8192
    assert waiter.write(inlet, memoryview(data)) == len(data)
    assert not waiter.idle(inlet) and waiter.wait(0) == []
    got = b""
    while len(got) < len(data):
        got += _winapi.ReadFile(end, 1 << 16)[0]
    assert got == data
    assert waiter.wait(1000) == [inlet] and waiter.idle(inlet)
    close_end(end)
    with pytest.raises(BrokenPipeError):
        for _ in range(3):
            waiter.write(inlet, memoryview(b"x"))
            waiter.wait(1000)
    waiter.drop(inlet)
    waiter.close(inlet)
