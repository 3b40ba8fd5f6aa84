"""What systemd hears of the server (sd_notify(3))."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_server.service_status import ServiceStatus


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "s"))
        ear.setblocking(False)
        yield ear


def environ(ear: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": ear.getsockname(), **more}


async def test_it_is_ready_once_and_says_what_it_does(ear: socket.socket) -> None:
    status = ServiceStatus(environ(ear))
    status.start()
    status.report("stands by\nfor another one")
    assert ear.recv(100) == b"READY=1\nSTATUS=stands by for another one"
    status.report("listens")
    assert ear.recv(100) == b"STATUS=listens"
    status.stop()
    assert ear.recv(100) == b"STOPPING=1"
    with pytest.raises(BlockingIOError):
        ear.recv(100)


async def test_the_watchdog_hears_of_a_loop_that_turns_until_it_stops(ear: socket.socket) -> None:
    status = ServiceStatus(environ(ear, WATCHDOG_USEC="20000", WATCHDOG_PID=str(os.getpid())))
    status.start()
    loop = asyncio.get_running_loop()
    for _ in range(3):
        async with asyncio.timeout(20):
            assert await loop.sock_recv(ear, 100) == b"WATCHDOG=1"
    status.stop()
    await asyncio.sleep(0.05)
    heard = []
    while True:
        try:
            heard.append(ear.recv(100))
        except BlockingIOError:
            break
    assert heard[-1] == b"STOPPING=1"


async def test_nobody_hears_of_it_elsewhere(ear: socket.socket, tmp_path: Path) -> None:
    for given in ({}, {"NOTIFY_SOCKET": str(tmp_path / "nobody")}, {"NOTIFY_SOCKET": "@no-one"}):
        status = ServiceStatus(given | {"WATCHDOG_USEC": "1000000"})
        status.start()
        status.report("listens")
        status.stop()
    for wrong in ({"WATCHDOG_USEC": "often"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}):
        ServiceStatus(environ(ear, **wrong)).start()
        with pytest.raises(BlockingIOError):
            ear.recv(100)
