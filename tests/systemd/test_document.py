"""Every block of docs/systemd.md, as it stands and in its order, on a host without the services;
then the server that it has brought."""

from __future__ import annotations

from pathlib import Path

from tests.docs.blocks import blocks
from tests.systemd.host import Host
from tests.systemd.machine import said, until

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "systemd.md"


def test_what_the_page_says_works(host: Host) -> None:
    host.token_file()
    host.machine.put(ROOT / "installers", "/root/installers")
    host.machine.call("ln", "-s", "/opt/remote/1/bin/remote-server", "/usr/local/bin/")
    found = [block for block in blocks(DOCUMENT.read_text()) if block.language == "sh"]
    assert len(found) > 4 and not any(block.not_run for block in found)
    for block in found:
        if "remote-server" in block.text:
            host.machine.call("systemctl", "stop", "test-server")  # it listens at the same port
        done = host.machine.run("sh", "-e", "-c", f"cd /root\n{block.text}", env=host.prompt)
        assert done.returncode == 0, f"line {block.line} of {DOCUMENT.name}:\n{said(done)}"


SERVER = "remote-server.service"


def running(host: Host) -> int:
    """The server's process: never 0, which is everybody's to kill."""
    return until(lambda: process(host), "the server runs")


def process(host: Host) -> int:
    """The server's process as systemd knows it; 0 while there is none."""
    return int(host.machine.show(SERVER, "MainPID"))


def test_the_server_is_hardened_and_comes_back(host: Host) -> None:
    host.machine.call("systemd-analyze", "verify", SERVER)
    host.machine.call("systemd-analyze", "security", "--threshold=20", SERVER)
    assert host.machine.show(SERVER, "StatusText") == "listens on http://127.0.0.1:8750"
    pid = running(host)
    host.machine.call("kill", "-KILL", pid)
    until(lambda: process(host) not in (0, pid), "it is started again")


def test_the_server_gets_its_key_as_a_credential(host: Host) -> None:
    host.machine.call(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *(
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ),
        *("-keyout", "/etc/remote-server/tls.key", "-out", "/etc/remote-server/tls.crt"),
    )
    host.machine.call("systemctl", "restart", SERVER)
    assert host.machine.show(SERVER, "StatusText") == "listens on https://127.0.0.1:8750"
    token = host.machine.call("cat", "/var/lib/remote-server/admin-token").strip()
    env = {
        "REMOTE_URL": "https://127.0.0.1:8750",
        "REMOTE_TOKEN": token,
        "REMOTE_CA_FILE": "/etc/remote-server/tls.crt",
    }
    found = host.machine.call("/opt/remote/1/bin/remotectl", "queue", "list", "-q", env=env)
    assert found.split() == ["default"]


def test_the_watchdog_restarts_a_server_that_hangs(host: Host) -> None:
    drop_in = f"/run/systemd/system/{SERVER}.d"
    host.machine.call("mkdir", "-p", drop_in)
    host.machine.call("sh", "-c", f"printf '[Service]\\nWatchdogSec=10s\\n' > {drop_in}/quick.conf")
    host.machine.call("systemctl", "daemon-reload")
    host.machine.call("systemctl", "restart", SERVER)
    pid = running(host)
    host.machine.call("kill", "-STOP", pid)
    until(lambda: process(host) not in (0, pid), "it is started again")
    until(
        lambda: "Watchdog timeout" in host.machine.call("journalctl", "-u", SERVER, "-o", "cat"),
        "systemd says why",
    )
    # The next tests have a server of their own at this port.
    host.machine.call("rm", "-r", drop_in)
    host.machine.call("systemctl", "disable", "--now", SERVER)
    host.start_server()
