"""Sending an input: all of it, in parts, over a bad line too; to its end or that of the job."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remote_client.calls import Calls
from remote_client.errors import ApiError, Unreachable
from remote_client.inputs import InputSender
from remote_client.network import BlockingNetwork
from remote_client.transport import Transport
from remote_protocol.limits import MAX_INPUT_PART
from tests.support.fake_api import ID, TOKEN, Answer, FakeApi, Said, job_view, problem
from tests.support.stack import until

INPUT = f"/jobs/{ID}/input"


class Server:
    """The server's side of an input, as the real one has it."""

    def __init__(self, api: FakeApi, ttl: float = 600.0) -> None:
        self.data = bytearray()
        self.ended = False
        self.words = 0
        """Empty parts that did not end it."""
        self.faults: list[Callable[[Said], Answer | None]] = []
        self._ttl = ttl
        api.on("PATCH", INPUT, self._take)

    def _take(self, said: Said) -> Any:
        part, offset = said.body or b"", int(said.query["offset"])
        if self.faults and (answer := self.faults.pop(0)(said)) is not None:
            return answer
        assert offset <= len(self.data), "a gap"
        assert len(part) <= MAX_INPUT_PART
        self.data[offset:] = part
        self.ended = "end" in said.query
        self.words += not part and not self.ended
        state = "ended" if self.ended else "open"
        return {"size": len(self.data), "state": state, "ttl": self._ttl}


@pytest.fixture
def calls(api: FakeApi) -> Iterator[Calls]:
    transport = Transport(api.url, TOKEN, network=BlockingNetwork(lambda _: None))
    transport.reached = True
    yield Calls(transport)
    transport.close()


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """Its two ends. Who closes the one that is written takes it away: another thread may have a
    socket of the same number by then."""
    ends = list(os.pipe())
    yield ends
    for end in ends:
        os.close(end)


def test_a_file_is_sent_whole(api: FakeApi, calls: Calls, tmp_path: Path) -> None:
    server = Server(api)
    data = os.urandom(3 * MAX_INPUT_PART + 17)
    (tmp_path / "data").write_bytes(data)
    with (tmp_path / "data").open("rb") as file:
        sender = InputSender(calls, ID, file.fileno())
        sender.run()
    assert bytes(server.data) == data and server.ended
    assert (sender.sent, sender.over) == (len(data), True)


def test_an_empty_file_ends_at_once(api: FakeApi, calls: Calls) -> None:
    server = Server(api)
    with open(os.devnull, "rb") as file:
        InputSender(calls, ID, file.fileno()).run()
    assert server.ended and not server.data
    assert len(api.calls) == 1


def test_what_comes_is_sent_before_the_end(api: FakeApi, calls: Calls, pipe: list[int]) -> None:
    server = Server(api)
    sender = InputSender(calls, ID, pipe[0])
    work = threading.Thread(target=sender.run)
    work.start()
    os.write(pipe[1], b"first")
    until(lambda: bytes(server.data) == b"first", "the first bytes arrive")
    os.write(pipe[1], b"\0second")
    until(lambda: bytes(server.data) == b"first\0second", "the second bytes arrive")
    assert not server.ended and not sender.over
    os.close(pipe.pop())
    work.join(30)
    assert server.ended and sender.over


def test_a_silent_pipe_is_spoken_for(api: FakeApi, calls: Calls, pipe: list[int]) -> None:
    server = Server(api, ttl=0.1)
    work = threading.Thread(target=InputSender(calls, ID, pipe[0]).run)
    work.start()
    until(lambda: server.words >= 3, "the server is told that more may come")
    os.close(pipe.pop())
    work.join(30)
    assert server.ended and not server.data


def test_a_part_is_sent_again_when_its_answer_is_lost(
    api: FakeApi, calls: Calls, tmp_path: Path
) -> None:
    server = Server(api)
    data = os.urandom(2 * MAX_INPUT_PART)

    def lost(said: Said) -> Answer:
        server.data[int(said.query["offset"]) :] = said.body
        return Answer({"size": 0}, breaks=True)

    def busy(said: Said) -> Answer:
        return problem(503, "store_unavailable", "the disk is below its reserve")

    server.faults = [lost, busy, lost, busy]
    (tmp_path / "data").write_bytes(data)
    with (tmp_path / "data").open("rb") as file:
        InputSender(calls, ID, file.fileno()).run()
    assert bytes(server.data) == data and server.ended


def test_the_end_of_the_job_ends_it(api: FakeApi, calls: Calls, pipe: list[int]) -> None:
    api.on("PATCH", INPUT, problem(409, "conflict", "the job has ended"))
    api.on("GET", f"/jobs/{ID}", job_view(state="succeeded"))
    sender = InputSender(calls, ID, pipe[0])
    os.write(pipe[1], b"unwanted")
    sender.run()
    assert sender.over and sender.sent == 0


@pytest.mark.parametrize(
    ("status", "code"), [(409, "input_gap"), (413, "body_too_large"), (403, "forbidden")]
)
def test_a_refusal_is_told(
    api: FakeApi, calls: Calls, pipe: list[int], status: int, code: str
) -> None:
    api.on("PATCH", INPUT, problem(status, code, "no more of this"))
    api.on("GET", f"/jobs/{ID}", job_view(state="running"))
    os.write(pipe[1], b"x")
    sender = InputSender(calls, ID, pipe[0])
    with pytest.raises(ApiError, match="no more of this"):
        sender.run()
    assert not sender.over


def test_a_source_that_cannot_be_read_is_no_end(api: FakeApi, calls: Calls, tmp_path: Path) -> None:
    server = Server(api)
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(IsADirectoryError):
            InputSender(calls, ID, folder).run()
    finally:
        os.close(folder)
    assert not server.ended


def test_a_server_that_stays_away_is_told(calls: Calls, pipe: list[int]) -> None:
    transport = Transport("http://127.0.0.1:1", TOKEN, network=BlockingNetwork(lambda _: None))
    os.write(pipe[1], b"x")
    with pytest.raises(Unreachable):
        InputSender(Calls(transport), ID, pipe[0]).run()


def test_memory_is_bounded(api: FakeApi, calls: Calls, pipe: list[int]) -> None:
    server = Server(api)
    gate = threading.Event()

    def held(said: Said) -> None:
        gate.wait(30)

    server.faults = [held]
    sender = InputSender(calls, ID, pipe[0])
    work = threading.Thread(target=sender.run)
    work.start()
    data = os.urandom(4 * MAX_INPUT_PART)
    writing = threading.Thread(target=_write, args=(pipe.pop(), data))
    writing.start()
    until(lambda: len(sender._waiting) >= MAX_INPUT_PART, "a part waits while one is sent")
    assert len(sender._waiting) <= MAX_INPUT_PART + 256 * 1024
    gate.set()
    writing.join(30)
    work.join(30)
    assert bytes(server.data) == data


def _write(end: int, data: bytes) -> None:
    with open(end, "wb") as file:
        file.write(data)
