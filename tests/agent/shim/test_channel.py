"""The shim's socket: control in, notifications out, and nobody there."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from remote_agent.processes import Folder, send_datagram
from remote_agent.shim.channel import START_WAIT, Channel
from remote_agent.shim.control_socket import ControlSocket
from remote_agent.shim.launcher_client import tell


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    attempt = tmp_path / "attempts" / ("long" * 40) / "J.1"
    attempt.mkdir(parents=True)
    monkeypatch.chdir(attempt)
    yield attempt


def test_control_messages(place: Path) -> None:
    assert not tell(place, {"do": "kill"})
    channel = Channel(Folder("."), "J.1", "../nobody.sock", ControlSocket(reused=False))
    for number in range(3):
        assert tell(place, {"do": "hold", "n": number})
    assert [message["n"] for message in channel.receive()] == [0, 1, 2]
    assert channel.receive() == []
    channel.close()
    assert not tell(place, {"do": "kill"}) and not os.listdir(place)


def test_what_was_meant_for_another_attempt_is_dropped(place: Path) -> None:
    channel = Channel(Folder("."), "J.1", "../nobody.sock", ControlSocket(reused=False))
    former = place.with_name("J.0")
    place.rename(former)
    assert tell(former, {"do": "kill"})
    former.rename(place)
    assert tell(place, {"do": "go"})
    send_datagram(place, "control", b'{"v":1,"do":"hold"}')  # meant for nobody
    assert [message["do"] for message in channel.receive()] == ["go"]
    channel.close()


def test_the_name_of_a_dead_shim_is_taken_over(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind("control")
    channel = Channel(Folder("."), "J.1", "../nobody.sock", ControlSocket(reused=False))
    assert tell(place, {"do": "go"}) and len(channel.receive()) == 1
    channel.close()


@pytest.fixture
def agent(place: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as agent:
        agent.bind("../agent.sock")
        agent.setblocking(False)
        yield agent


def heard(agent: socket.socket) -> list[dict[str, object]]:
    """All notifications that have come; the copy of a record is an element of its own."""
    found: list[dict[str, object]] = []
    with suppress(BlockingIOError):
        while True:
            found += [json.loads(line) for line in agent.recv(1 << 16).split(b"\n")]
    return found


@pytest.fixture
def channel(place: Path) -> Iterator[Channel]:
    channel = Channel(Folder("."), "J.1", "../agent.sock", ControlSocket(reused=False))
    yield channel
    channel.close()


def test_a_start_goes_with_what_comes_soon(agent: socket.socket, channel: Channel) -> None:
    due = channel.started(7, 2.5, now=100.0)
    assert due == 100.0 + START_WAIT and not heard(agent)
    assert channel.grew(0, now=100.001) == due, "there is nothing to say yet"
    assert channel.grew(12, now=100.002) is None
    assert channel.grew(12, now=100.9) is None and channel.grew(13, now=100.9) is None
    assert channel.ended(b'{"v":1}')
    assert heard(agent) == [
        {"k": "J.1", "pid": 7, "at": 2.5, "e": "grew", "size": 12},
        {"k": "J.1", "e": "grew", "size": 13},
        {"k": "J.1", "e": "ended"},
        {"v": 1},
    ]


def test_a_start_goes_alone_when_nothing_comes(agent: socket.socket, channel: Channel) -> None:
    due = channel.started(7, 2.5, now=100.0)
    assert channel.grew(0, due) is None and channel.grew(0, due + 1) is None
    assert heard(agent) == [{"k": "J.1", "pid": 7, "at": 2.5, "e": "started"}]


def test_a_start_goes_with_a_soon_end(agent: socket.socket, channel: Channel) -> None:
    channel.started(7, 2.5, now=100.0)
    assert channel.ended(b"[%s]" % (b"1," * 5000 + b"1")), "a large record is read from the disk"
    assert heard(agent) == [{"k": "J.1", "pid": 7, "at": 2.5, "e": "ended"}]
    assert channel.ended(refused='{"exit_code":3}')
    (said,) = heard(agent)
    assert said["e"] == "ended" and said["record"] == {"exit_code": 3}


def test_notifications_without_an_agent_are_no_trouble(place: Path) -> None:
    channel = Channel(Folder("."), "J.1", "../nobody.sock", ControlSocket(reused=False))
    due = channel.started(1, 2.0, 0.0)
    assert channel.grew(0, due) is None and channel.grew(5, due) is None
    assert not channel.ended()
    channel.close()


def test_notifications_to_a_busy_agent_are_sent_again(
    agent: socket.socket, channel: Channel
) -> None:
    channel.started(7, 2.5, now=0.0)
    size = 1
    while (again := channel.grew(size, now=10.0)) is None:
        size += 1
    assert 10.0 < again < 10.1
    assert 1 < size < 2000, "the queue of datagrams is bounded"
    assert json.loads(agent.recv(4096)) == {
        "k": "J.1",
        "pid": 7,
        "at": 2.5,
        "e": "grew",
        "size": 1,
    }
    assert channel.grew(size, now=again) is None
    before = time.monotonic()
    assert not channel.ended()
    assert time.monotonic() - before > 0.4, "it gives up: the disk is the truth"
