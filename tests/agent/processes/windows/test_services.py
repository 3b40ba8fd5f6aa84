"""The service control manager, with a real service."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import subprocess
import time
import winreg
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remote_agent.processes.types import ServiceSettings
from remote_agent.processes.windows.services import Services, sid

NAME = "remote-agent-test"
SERVICE = """\
import sys, time
sys.path[:0] = {path!r}
from remote_agent.processes.windows.service_process import serve
def body():
    try:
        while True: time.sleep(0.05)
    except KeyboardInterrupt:
        return {code}
sys.exit(serve({name!r}, body))
"""
EVENTS = r"SYSTEM\CurrentControlSet\Services\EventLog\Application" + "\\" + NAME


@pytest.fixture
def services() -> Iterator[Services]:
    services = Services()
    yield services
    if services.query(NAME) is not None:
        services.stop(NAME, 30)
        services.delete(NAME)


def settings(folder: Path, code: int = 0) -> ServiceSettings:
    script = folder / "service.py"
    script.write_text(SERVICE.format(path=sys.path, code=code, name=NAME))
    command = subprocess.list2cmdline([sys.executable, str(script)])
    return ServiceSettings(command, "LocalSystem", None, "A test")


def reaches(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_whole_life(services: Services, tmp_path: Path) -> None:
    assert services.allowed() and services.query(NAME) is None
    wanted = settings(tmp_path)
    services.install(NAME, wanted)
    found = services.query(NAME)
    assert found is not None and found.automatic and found.command == wanted.command
    assert (found.state, found.exit_code, found.account) == ("stopped", 0, "LocalSystem")
    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, EVENTS) as key:
        assert winreg.QueryValueEx(key, "TypesSupported")[0] == 7
    services.start(NAME)
    services.start(NAME)
    reaches(lambda: getattr(services.query(NAME), "state", "") == "running")
    found = services.query(NAME)
    assert found is not None and found.pid
    services.stop(NAME, 60)
    services.stop(NAME, 60)
    found = services.query(NAME)
    assert found is not None and (found.state, found.exit_code) == ("stopped", 0)
    assert services.delete(NAME) and not services.delete(NAME)
    assert services.query(NAME) is None
    with pytest.raises(FileNotFoundError):
        winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, EVENTS)
    with pytest.raises(OSError):
        services.start(NAME)


def test_it_is_changed_and_its_exit_code_is_known(services: Services, tmp_path: Path) -> None:
    services.install(NAME, settings(tmp_path))
    changed = settings(tmp_path, code=5)._replace(account=r"NT SERVICE\remote-agent-test")
    services.install(NAME, changed)
    found = services.query(NAME)
    assert found is not None and found.account == changed.account
    services.start(NAME)
    reaches(lambda: getattr(services.query(NAME), "state", "") == "running")
    services.stop(NAME, 60)
    found = services.query(NAME)
    assert found is not None and found.exit_code == 5


def test_identifiers_of_accounts() -> None:
    assert sid("LocalSystem") == "SY" and sid(r"NT AUTHORITY\NetworkService") == "NS"
    # As `sc showsid TrustedInstaller` has it on every Windows.
    assert sid(r"NT SERVICE\TrustedInstaller") == (
        "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"
    )
    with pytest.raises(OSError):
        sid("nobody-of-this-name")


def test_a_folder_is_open_to_the_account(services: Services, tmp_path: Path) -> None:
    for write in (False, True):
        services.protect(tmp_path, r"NT SERVICE\remote-agent-test", write)
        (tmp_path / "made").write_text("x")
    with pytest.raises(OSError):
        services.protect(tmp_path / "none", "LocalSystem", True)
