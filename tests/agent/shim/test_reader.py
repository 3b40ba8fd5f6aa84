"""Output is read while there is room, and not at all otherwise; what is left is read at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_agent.processes import Folder, Poller
from remote_agent.shim.ending import Timeline
from remote_agent.shim.order import Order
from remote_agent.shim.output import RETRY, Output
from remote_agent.shim.reader import OutputReader
from remote_agent.shim.streams import Streams
from remote_protocol import cri


class Case:
    """A job's two pipes, their spool, and what reads them."""

    def __init__(self, folder: Folder) -> None:
        order = Order("J.1", ["x"], {}, "/")
        self.poller, self.timeline = Poller(), Timeline()
        self.streams = Streams(folder, order, self.poller)
        self.output = Output(folder, order)
        self.reader = OutputReader(self.poller, self.streams, self.output, self.timeline)
        self.room = True
        _, self.stdout, self.stderr, _ = self.streams.open()
        self.output.ready = lambda: self.room  # type: ignore[method-assign]

    def write_pending(self) -> None:
        """As `Completion` does, on a disk that has room."""
        self.output.flush()

    @property
    def said(self) -> list[object]:
        return [entry.what for entry in self.timeline.entries]


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    with Folder(tmp_path) as folder:
        case = Case(folder)
        yield case
        case.streams.release()
        case.streams.close()
        case.output.close()


def test_pipes_are_waited_for_only_while_there_is_room(case: Case) -> None:
    os.write(case.stdout, b"one\n")
    assert case.poller.wait(0) == [], "nothing is read before the first look"
    assert case.reader.update(10.0) and case.reader.check_at is None
    (pipe,) = case.poller.wait(0)
    case.reader.read(pipe)
    assert case.output.counts[cri.STDOUT] == 4 and case.said == ["first_output"]
    case.room = False
    os.write(case.stdout, b"two\n")
    assert not case.reader.update(11.0) and case.reader.check_at == 11.0 + RETRY
    assert case.poller.wait(0) == [] and case.said == ["first_output", "output_waits"]
    case.room = True
    assert case.reader.update(11.1), "it is not time to look again"
    assert case.poller.wait(0) == []
    assert case.reader.update(11.0 + RETRY) and case.poller.wait(0) == [pipe]


def test_the_agent_can_have_it_wait(case: Case) -> None:
    case.reader.update(10.0)
    case.reader.hold(20.0)
    assert not case.reader.update(10.1)
    (entry,) = case.timeline.entries
    assert entry.detail == "the agent asks it to wait"
    assert not case.reader.update(15.0)
    case.reader.hold(0.0)
    assert case.reader.update(15.1), "at once"


def test_a_pipe_at_its_end_is_closed(case: Case) -> None:
    case.reader.update(10.0)
    case.streams.release()
    for pipe in case.poller.wait(0):
        case.reader.read(pipe)
    assert not case.streams.outputs and case.said == []


def test_what_is_left_is_read_though_there_was_no_room(case: Case, tmp_path: Path) -> None:
    case.room = False
    case.reader.update(10.0)
    os.write(case.stdout, b"last words")
    os.write(case.stderr, b"of both")
    ended: Any = case
    case.reader.drain(ended)
    log = (tmp_path / "output.log").read_bytes()
    assert (cri.decode(log, cri.STDOUT), cri.decode(log, cri.STDERR)) == (b"last words", b"of both")
    assert len(case.streams.outputs) == 2, "somebody still holds them, and delays nobody"
