"""What systemd hears (sd_notify(3))."""

from __future__ import annotations

import os
import socket

from remote_agent.local.notify import notify


def test_a_path_hears_every_state(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "s"))
        notify(str(tmp_path / "s"), READY="1", STATUS="online, 0 jobs")
        assert ear.recv(100) == b"READY=1\nSTATUS=online, 0 jobs"


def test_an_abstract_socket_too():
    name = f"remote-agent-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0{name}")
        notify(f"@{name}", STOPPING="1")
        assert ear.recv(100) == b"STOPPING=1"


def test_without_systemd_nothing_happens(tmp_path):
    notify(None, READY="1")
    notify("", READY="1")
    notify(str(tmp_path / "nobody"), READY="1")
