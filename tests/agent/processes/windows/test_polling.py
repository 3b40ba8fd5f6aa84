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
    poller = Poller()
    first, first_end = poller.pipe()
    second, second_end = poller.pipe()
    poller.add(first)
    poller.add(second)
    assert poller.wait(0) == []
    _winapi.WriteFile(second_end, b"hello")
    assert poller.wait(None) == [second]
    poller.drop(second)
    assert poller.wait(0) == []
    poller.add(second)
    assert poller.wait(0) == [second], "what was brought is kept"
    assert poller.read(second, 3) == b"hel" and poller.wait(0) == [second]
    assert poller.read(second, 9) == b"lo" and poller.wait(0) == []
    close_end(first_end)
    close_end(second_end)
    assert set(poller.wait(1000)) == {first, second}
    for pipe in (first, second):
        assert poller.read(pipe, 9) == b""
        poller.drop(pipe)
        poller.close(pipe)


def test_a_job_waits_while_nobody_reads() -> None:
    poller = Poller()
    pipe, end = poller.pipe()
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
    poller.add(pipe)
    got = 0
    while True:
        assert poller.wait(20_000) == [pipe]
        part = poller.read(pipe, 1 << 18)
        if not part:
            break
        got += len(part)
    writer.join()
    assert got == len(data)
    poller.drop(pipe)
    poller.close(pipe)


def test_events_that_reset_themselves_wake_once() -> None:
    poller = Poller()
    event = int(api.check(api.create_event(None, False, True, None)))
    poller.add(event)
    assert poller.wait(1000) == [event] and poller.wait(0) == []
    api.close_handle(event)


def test_an_input_wakes_when_what_was_written_is_taken() -> None:
    poller = Poller()
    pipe, end = poller.input_pipe()
    poller.add(pipe)
    assert poller.wait(0) == [pipe] and poller.idle(pipe)
    data = bytes(range(256)) * 8192
    assert poller.write(pipe, memoryview(data)) == len(data)
    assert not poller.idle(pipe) and poller.wait(0) == []
    got = b""
    while len(got) < len(data):
        got += _winapi.ReadFile(end, 1 << 16)[0]
    assert got == data
    assert poller.wait(1000) == [pipe] and poller.idle(pipe)
    close_end(end)
    with pytest.raises(BrokenPipeError):
        for _ in range(3):
            poller.write(pipe, memoryview(b"x"))
            poller.wait(1000)
    poller.drop(pipe)
    poller.close(pipe)
