"""The shim's socket: control in, notifications out, and nobody there."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.processes import Folder, send_datagram
from remote_agent.shim.channel import Channel
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


def test_notifications_without_an_agent_are_no_trouble(place: Path) -> None:
    channel = Channel(Folder("."), "J.1", "../nobody.sock", ControlSocket(reused=False))
    channel.started(1, 2.0)
    assert channel.grew(5)
    assert not channel.ended()
    channel.close()


def test_notifications_to_a_busy_agent_are_sent_again(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as agent:
        agent.bind("../agent.sock")
        channel = Channel(Folder("."), "J.1", "../agent.sock", ControlSocket(reused=False))
        size = 1
        while channel.grew(size):
            size += 1
        assert 1 < size < 2000, "the queue of datagrams is bounded"
        first = json.loads(agent.recv(4096))
        assert first == {"k": "J.1", "e": "grew", "size": 1}
        assert channel.grew(size)
        before = time.monotonic()
        assert not channel.ended()
        assert time.monotonic() - before > 0.4, "it gives up: the disk is the truth"
        channel.close()
