"""Waiting on real pipes."""

from __future__ import annotations

import fcntl
import os
from typing import Final

import pytest

from remote_agent.processes.posix_polling import Poller, close_end

_F_GETPIPE_SZ: Final = 1032


def test_pipes_wake_until_they_end() -> None:
    poller = Poller()
    first, first_end = poller.pipe()
    second, second_end = poller.pipe()
    poller.add(first)
    poller.add(second)
    assert poller.wait(0) == []
    os.write(second_end, b"hello")
    assert poller.wait(None) == [second]
    poller.drop(second)
    assert poller.wait(0) == [], "what is dropped waits in its pipe"
    poller.add(second)
    assert poller.read(second, 3) == b"hel" and poller.read(second, 9) == b"lo"
    close_end(first_end)
    close_end(second_end)
    assert set(poller.wait(1000)) == {first, second}
    for pipe in (first, second):
        assert poller.read(pipe, 9) == b""
        poller.drop(pipe)
        poller.close(pipe)


def test_what_is_left_in_a_pipe_is_read_before_its_end() -> None:
    poller = Poller()
    pipe, end = poller.pipe()
    poller.add(pipe)
    os.write(end, b"last words")
    close_end(end)
    assert poller.wait(0) == [pipe] and poller.read(pipe, 4) == b"last"
    assert poller.wait(0) == [pipe] and poller.read(pipe, 100) == b" words"
    assert poller.wait(0) == [pipe] and poller.read(pipe, 100) == b""
    poller.drop(pipe)
    poller.close(pipe)
    # The next pipe may have its number, and has not ended.
    other, end = poller.pipe()
    os.write(end, b"x")
    assert other == pipe and poller.read(other, 1) == b"x"
    poller.close(other)
    close_end(end)


def test_a_pipe_is_large_once_there_is_much_in_it() -> None:
    poller = Poller()
    pipe, end = poller.pipe()
    first = fcntl.fcntl(pipe, _F_GETPIPE_SZ)
    os.write(end, b"x" * 100)
    assert len(poller.read(pipe, 1 << 18)) == 100
    assert fcntl.fcntl(pipe, _F_GETPIPE_SZ) == first
    os.write(end, b"x" * (1 << 15))
    assert len(poller.read(pipe, 1 << 18)) == 1 << 15
    assert fcntl.fcntl(pipe, _F_GETPIPE_SZ) == 1 << 20 > first
    close_end(end)
    poller.close(pipe)


def test_an_input_wakes_while_it_has_room() -> None:
    poller = Poller()
    pipe, end = poller.input_pipe()
    assert os.get_blocking(end) and not os.get_inheritable(pipe)
    poller.add(pipe)
    assert poller.wait(0) == [pipe] and poller.idle(pipe)
    taken = 0
    while count := poller.write(pipe, memoryview(bytes(1 << 18))):
        taken += count
    assert poller.wait(0) == [], "it is full"
    assert len(os.read(end, taken)) > 0
    assert poller.wait(1000) == [pipe]
    close_end(end)
    assert poller.wait(1000) == [pipe]
    with pytest.raises(BrokenPipeError):
        poller.write(pipe, memoryview(b"x"))
    poller.drop(pipe)
    poller.close(pipe)
