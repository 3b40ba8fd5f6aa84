"""What systemd hears (sd_notify(3))."""

from __future__ import annotations

import os
import socket

import pytest

from remote_agent.local.notify import ServiceStatus


def test_a_path_hears_that_it_is_ready_once_and_each_change(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "s"))
        ear.setblocking(False)
        status = ServiceStatus(str(tmp_path / "s"))
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
        ServiceStatus(f"@{name}").stopping()
        assert ear.recv(100) == b"STOPPING=1"


def test_without_systemd_nothing_happens(tmp_path):
    for address in (None, "", str(tmp_path / "nobody")):
        status = ServiceStatus(address)
        status.report("online, 0 jobs")
        status.stopping()
