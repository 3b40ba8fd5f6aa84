"""The life of a host with the packages, as its admin sees it: installed, registered, upgraded under
load, removed, installed again, purged."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.packages.conftest import NEW
from tests.packages.host import CleanHost
from tests.packages.managers import Manager
from tests.systemd.host import FINISH, JOBS, STATE, UNIT, URL, writer
from tests.systemd.machine import until
from tests.systemd.traces import same

CONFIG = "/etc/remote-agent/agent.toml"
NEXT = "remote-agent service install --server https://SERVER --token-file FILE"
REGISTERED = "this host is registered. Next, start the agent: remote-agent service install"


@dataclass
class Before:
    """What the host was like without the packages, and what is going on there."""

    files: set[tuple[str, str]] = field(default_factory=set)
    users: set[tuple[str, str]] = field(default_factory=set)
    job: str = ""


@pytest.fixture(scope="module")
def before(manager: Manager, host: CleanHost) -> Before:
    return Before(host.traces(), host.users())


def file(manager: Manager, name: str, version: str) -> str:
    return {
        "deb": f"{name}_{version}_amd64.deb",
        "rpm": f"{name}-{version}.x86_64.rpm",
    }[manager.kind]


def active(host: CleanHost, unit: str = UNIT) -> str:
    return host.machine.run("systemctl", "is-active", unit).stdout.strip()


def gone(host: CleanHost, path: str) -> bool:
    return host.machine.run("test", "-e", path).returncode == 1


def test_installed_it_says_what_comes_next_and_starts_nothing(
    manager: Manager, host: CleanHost, before: Before
) -> None:
    said = manager.install(file(manager, "remote-agent", "0.1.0"))
    assert NEXT in said
    assert host.agent("--version").stdout.strip() == "remote-agent 0.1.0"
    assert active(host) == "inactive" and active(host, JOBS) == "inactive"
    enabled = host.machine.run("systemctl", "is-enabled", UNIT).stdout.strip()
    assert enabled == "disabled"
    assert "does not start with the host" in host.agent("service", "status").stdout
    (user,) = {line for line, _ in host.users() - before.users if line.count(":") == 6}
    assert user.endswith(f":remote-agent service:{STATE}:/usr/sbin/nologin")
    assert manager.verify() == []
    assert gone(host, STATE)
    host.machine.call("systemd-analyze", "verify", UNIT, JOBS)


def test_registered_and_started_in_one_step_with_the_units_of_the_package(
    manager: Manager, host: CleanHost
) -> None:
    printed = host.service("install", "--server", URL, "--token-file", host.token_file())
    assert "online" in printed and "/etc/systemd" not in printed
    assert "starts with the host" in host.service("status")
    host.is_whole(host.submit(writer(200, 0.01)), 200)
    assert manager.verify() == []


def test_an_upgrade_under_load_loses_nothing(manager: Manager, host: CleanHost) -> None:
    with (host.machine.root / CONFIG.lstrip("/")).open("a") as config:
        config.write("[agent]\ncapacity = { default = 2 }\n")
    old = host.pid()
    jobs = [host.writing() for _ in range(3)]
    # A server that is away does not hold it up.
    host.stop_server()
    said = manager.install(file(manager, "remote-agent", NEW))
    assert "restarted; its jobs run on" in said and "online" not in said and NEXT not in said
    host.start_server()
    assert host.online(other_than=old) == host.pid()
    host.let_finish()
    for job in jobs:
        host.has_finished(job)
    # What its owner changed is as he left it, and in force.
    assert "default = 2" in host.machine.call("cat", CONFIG)
    assert manager.verify() == [CONFIG]
    assert gone(host, f"/etc/systemd/system/{UNIT}"), "that of the package is in force"
    assert f"/program/{NEW}-" in host.machine.call("readlink", f"/proc/{host.pid()}/exe")
    assert host.status()["capacity"] == {"default": 2}


def test_removed_it_kills_its_jobs_and_keeps_what_is_the_owners(
    manager: Manager, host: CleanHost, before: Before
) -> None:
    before.job = host.running(host.submit("echo $$; sleep 600"))
    process = f"/proc/{int(host.log(before.job))}"
    assert not gone(host, process)
    said = manager.remove()
    assert "its jobs were killed" in said and "the server still lists this" in said
    assert active(host) == "inactive" and active(host, JOBS) == "inactive"
    until(lambda: gone(host, process), "its process is dead")
    assert gone(host, "/usr/bin/remote-agent") and gone(host, "/var/lib/remote-agent-program")
    assert not gone(host, f"{STATE}/identity.json")
    assert "default = 2" in host.machine.call("cat", manager.edited)
    left = host.machine.run("systemctl", "cat", UNIT)
    assert left.returncode, left.stdout


def test_installed_again_it_goes_on_where_it_was(
    manager: Manager, host: CleanHost, before: Before
) -> None:
    said = manager.install(file(manager, "remote-agent", "0.1.0"))
    assert REGISTERED in said and active(host) == "inactive"
    assert "online" in host.service("install")
    found = host.ended(before.job)
    assert (found["state"], found["end_reason"]) == ("failed", "lost"), found
    host.is_whole(host.submit(writer(50)), 50)


def test_purged_it_leaves_nothing(manager: Manager, host: CleanHost, before: Before) -> None:
    host.service("install", "--profile", "users")
    name = host.ctl("agent", "list", "-q")
    manager.purge()
    # rpm keeps what its owner changed beside the new one, and then for ever.
    kept = {"/etc/remote-agent", manager.edited} if manager.kind == "rpm" else set()
    assert {path for path, _ in host.traces()} >= kept
    same(host.traces(), before.files, "/root/token", FINISH, *kept)
    same(host.users(), before.users)
    until(lambda: "remote-agent" not in _units(host), "systemd has forgotten its units")
    host.machine.call("rm", "-rf", "/etc/remote-agent")
    # Who purges at once leaves it to the server's admin to forget the host.
    assert host.ctl("agent", "list", "-q") == (name if manager.kind == "deb" else "")
    if manager.kind == "deb":
        host.ctl("agent", "delete", name)


def _units(host: CleanHost) -> str:
    return host.machine.call("systemctl", "list-units", "--all", "--no-legend")


def test_remotectl_comes_and_goes(manager: Manager, host: CleanHost, before: Before) -> None:
    manager.install(file(manager, "remotectl", "0.1.0"))
    found = host.machine.call("remotectl", "queue", "list", "-q", env=host.admin())
    assert found.split() == ["default"]
    manager.remove("remotectl")
    same(host.traces(), before.files, "/root/token", FINISH)
    assert gone(host, "/var/cache/remotectl-program")
