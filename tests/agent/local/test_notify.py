"""What systemd hears (sd_notify(3))."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.local.notify import ServiceStatus, watchdog_interval


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "s"))
        ear.setblocking(False)
        yield ear


def environ(ear: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": ear.getsockname(), **more}


def test_a_path_hears_that_it_is_ready_once_and_each_change(ear):
    status = ServiceStatus(environ(ear))
    status.report("server away,\n0 jobs")
    assert ear.recv(100) == b"READY=1\nSTATUS=server away, 0 jobs"
    status.report("server away,\n0 jobs")
    status.report("online, 0 jobs")
    assert ear.recv(100) == b"STATUS=online, 0 jobs"
    with pytest.raises(BlockingIOError):
        ear.recv(100)


def test_an_abstract_socket_too():
    name = f"remote-agent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0{name}")
        ServiceStatus({"NOTIFY_SOCKET": f"@{name}"}).stopping()
        assert ear.recv(100) == b"STOPPING=1"


def test_the_watchdog_hears_of_turns_at_half_its_interval(ear):
    status = ServiceStatus(environ(ear, WATCHDOG_USEC="10000000", WATCHDOG_PID=str(os.getpid())))
    heard = []
    for now in range(100, 120):
        status.turn(float(now))
        try:
            heard.append((now, ear.recv(100)))
        except BlockingIOError:
            continue
    assert heard == [(now, b"WATCHDOG=1") for now in (100, 105, 110, 115)]


def test_no_watchdog_hears_nothing(ear):
    for more in (
        {},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "no number"},
        {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"},  # that of another process
    ):
        assert watchdog_interval(more) == 0.0
        status = ServiceStatus(environ(ear, **more))
        status.turn(100.0)
        with pytest.raises(BlockingIOError):
            ear.recv(100)
    assert watchdog_interval({"WATCHDOG_USEC": "1500000"}) == 1.5


def test_one_that_waits_gets_more_time_to_become_ready(ear):
    ServiceStatus(environ(ear)).waiting("not registered yet:\nno server", 92.5)
    assert ear.recv(100) == b"STATUS=not registered yet: no server\nEXTEND_TIMEOUT_USEC=92500000"


def test_without_systemd_nothing_happens(tmp_path):
    for address in ({}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}):
        status = ServiceStatus(address | {"WATCHDOG_USEC": "1000"})
        status.report("online, 0 jobs")
        status.turn(1.0)
        status.waiting("for a server", 1.0)
        status.stopping()
