"""The service control manager, and whom a service's folders are open to (Windows)."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import ctypes
import hashlib
import struct
import time
import winreg
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import wintypes as w
from pathlib import Path
from typing import Any, Final

from remote_agent.processes.types import ServiceControl, ServiceRecord, ServiceSettings
from remote_agent.processes.windows import api
from remote_agent.processes.windows import service_api as scm
from remote_agent.processes.windows.files import set_access

_CONNECT: Final = 0x1
_CREATE: Final = 0x2
_LOOK: Final = 0x5
"""SERVICE_QUERY_CONFIG | SERVICE_QUERY_STATUS."""
_ALL: Final = 0xF01FF
_OWN_PROCESS: Final = 0x10
_AUTOMATIC: Final = 2
_NORMAL: Final = 1
_SAME: Final = 0xFFFF_FFFF
"""SERVICE_NO_CHANGE."""
_STOP: Final = 1
_ACCESS_DENIED: Final = 5
_INVALID_LEVEL: Final = 124
_NO_SERVICE: Final = 1060
_RUNS_ALREADY: Final = 1056
_NOT_ACTIVE: Final = 1062
_MARKED: Final = 1072
"""ERROR_SERVICE_MARKED_FOR_DELETE."""
_NEVER_STARTED: Final = 1077
_ITS_OWN_CODE: Final = 1066
_STATES: Final = {1: "stopped", 2: "starting", 3: "stopping", 4: "running"}
_DESCRIPTION, _FAILURES, _FLAG, _SID = 1, 2, 4, 5
_RESTART: Final = 1
_DELAYS: Final = (1000, 1000, 5000)
"""Milliseconds until it is started again after its first, its second and each later failure."""
_DAY: Final = 86_400
_PAUSE: Final = 0.05
_GONE_WITHIN: Final = 10.0
_EVENTS: Final = r"SYSTEM\CurrentControlSet\Services\EventLog\Application"
_MESSAGES: Final = r"%SystemRoot%\System32\EventCreate.exe"
"""Comes with Windows; its messages 1 to 1000 are the text of the event and nothing else."""
_EVERY_TYPE: Final = 7
_WELL_KNOWN: Final = {
    "localsystem": "SY",
    r"nt authority\system": "SY",
    r"nt authority\localservice": "LS",
    r"nt authority\networkservice": "NS",
}
_VIRTUAL: Final = "nt service\\"
_READ, _FULL = "GRGX", "FA"


class Services:
    """The service control manager of this host."""

    def allowed(self) -> bool:
        """Whether this process may make services: an administrator's, with all rights."""
        handle = api.check_or_none(scm.open_manager(None, None, _CREATE), _ACCESS_DENIED)
        if handle:
            scm.close_service(handle)
        return bool(handle)

    def query(self, name: str) -> ServiceRecord | None:
        """A service; None for none."""
        with _service(name, _LOOK) as handle:
            return _record(handle) if handle else None

    def install(self, name: str, settings: ServiceSettings) -> None:
        """Make a service or change it."""
        with _service(name, _ALL) as handle:
            if handle:
                kinds = (_OWN_PROCESS, _AUTOMATIC, _SAME)
                api.check(scm.change_service(handle, *kinds, *_texts(settings), name), name)
                _set_more(handle, settings)
            else:
                with _manager(_CONNECT | _CREATE) as manager:
                    kinds = (_OWN_PROCESS, _AUTOMATIC, _NORMAL)
                    made = scm.create_service(manager, name, name, _ALL, *kinds, *_texts(settings))
                    api.check(made, name)
                    try:
                        _set_more(made, settings)
                    finally:
                        scm.close_service(made)
        with winreg.CreateKey(winreg.HKEY_LOCAL_MACHINE, rf"{_EVENTS}\{name}") as key:
            winreg.SetValueEx(key, "EventMessageFile", 0, winreg.REG_EXPAND_SZ, _MESSAGES)
            winreg.SetValueEx(key, "TypesSupported", 0, winreg.REG_DWORD, _EVERY_TYPE)

    def start(self, name: str) -> None:
        """Start it; nothing when it runs."""
        with _existing(name) as handle:
            api.check_or_none(scm.start_service(handle, 0, None), _RUNS_ALREADY, name)

    def stop(self, name: str, timeout: float) -> None:
        """Stop it and wait for its end. TimeoutError."""
        deadline = time.monotonic() + timeout
        with _existing(name) as handle:
            status = scm.Status()
            asked = scm.control_service(handle, _STOP, ctypes.byref(status))
            api.check_or_none(asked, _NOT_ACTIVE, name)
            while _record(handle).state != "stopped":
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the service {name} did not stop within {timeout:g} s")
                time.sleep(_PAUSE)

    def delete(self, name: str) -> bool:
        """Remove it; False for none."""
        with _service(name, _ALL) as handle:
            if handle:
                api.check_or_none(scm.delete_service(handle), _MARKED, name)
            found = bool(handle)
        # While its process or somebody's handle is left it is marked, and cannot be made anew.
        deadline = time.monotonic() + _GONE_WITHIN
        while self.query(name) is not None and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        try:
            winreg.DeleteKey(winreg.HKEY_LOCAL_MACHINE, rf"{_EVENTS}\{name}")
        except FileNotFoundError:
            return found
        return True

    def protect(self, folder: Path, account: str, write: bool) -> None:
        """Open a folder to the system, administrators and this account only."""
        rights = _FULL if write else _READ
        entries = {"SY": _FULL, "BA": _FULL}
        entries.setdefault(sid(account), rights)
        listed = "".join(f"(A;OICI;{what};;;{who})" for who, what in entries.items())
        set_access(folder, f"D:P{listed}")


def service_control() -> ServiceControl | None:
    """The service control manager of this host."""
    return Services()


def sid(account: str) -> str:
    """The security identifier of an account. OSError when there is none of that name."""
    name = account.lower()
    if name in _WELL_KNOWN:
        return _WELL_KNOWN[name]
    if name.startswith(_VIRTUAL):
        # A service's own account exists as soon as its service does. Its identifier is the hash of
        # the service's name (MS-DTYP 2.4.2.4: S-1-5-80, RtlCreateServiceSid).
        digest = hashlib.sha1(account[len(_VIRTUAL) :].upper().encode("utf-16-le")).digest()
        return "S-1-5-80-" + "-".join(map(str, struct.unpack("<5I", digest)))
    size, length = w.DWORD(256), w.DWORD(256)
    found, domain = ctypes.create_string_buffer(256), ctypes.create_unicode_buffer(256)
    use = ctypes.c_int()
    api.check(
        scm.find_account(
            None,
            account.removeprefix(".\\"),
            *(found, ctypes.byref(size), domain, ctypes.byref(length), ctypes.byref(use)),
        ),
        account,
    )
    text = w.LPWSTR()
    api.check(scm.sid_text(found, ctypes.byref(text)), account)
    try:
        return str(text.value)
    finally:
        api.local_free(text)


@contextmanager
def _manager(access: int) -> Iterator[int]:
    handle = api.check(scm.open_manager(None, None, access), "service control manager")
    try:
        yield handle
    finally:
        scm.close_service(handle)


@contextmanager
def _service(name: str, access: int) -> Iterator[int | None]:
    """A handle of a service; None for none."""
    with _manager(_CONNECT) as manager:
        handle = api.check_or_none(scm.open_service(manager, name, access), _NO_SERVICE, name)
        try:
            yield handle
        finally:
            if handle:
                scm.close_service(handle)


@contextmanager
def _existing(name: str) -> Iterator[int]:
    with _service(name, _ALL) as handle:
        if not handle:
            raise api.failure(_NO_SERVICE, name)
        yield handle


def _texts(settings: ServiceSettings) -> tuple[str | None, ...]:
    """Command line, group, tag, dependencies, account, password."""
    return settings.command, None, None, None, settings.account, settings.password


def _set_more(handle: int, settings: ServiceSettings) -> None:
    actions = (scm.Action * len(_DELAYS))(*(scm.Action(_RESTART, delay) for delay in _DELAYS))
    more: dict[int, Any] = {
        _DESCRIPTION: scm.Text(settings.description),
        _FAILURES: scm.FailureActions(_DAY, None, None, len(actions), actions),
        # An exit code other than 0 is a failure, too.
        _FLAG: scm.Number(1),
        # Other accounts' processes, too, carry the identifier of the service.
        _SID: scm.Number(1),
    }
    for level, value in more.items():
        # Wine does not know the last two.
        api.check_or_none(scm.change_more(handle, level, ctypes.byref(value)), _INVALID_LEVEL)


def _record(handle: int) -> ServiceRecord:
    needed = w.DWORD()
    status = scm.ProcessStatus()
    size = ctypes.sizeof(status)
    api.check(scm.query_status(handle, 0, ctypes.byref(status), size, ctypes.byref(needed)))
    scm.query_config(handle, None, 0, ctypes.byref(needed))
    buffer = ctypes.create_string_buffer(needed.value)
    api.check(scm.query_config(handle, buffer, needed.value, ctypes.byref(needed)))
    config = scm.Config.from_buffer(buffer)
    code = status.own_exit_code if status.exit_code == _ITS_OWN_CODE else status.exit_code
    return ServiceRecord(
        state=_STATES.get(status.state, "running"),
        pid=status.pid,
        exit_code=0 if code == _NEVER_STARTED else code,
        command=config.command or "",
        account=config.account or "",
        automatic=config.start == _AUTOMATIC,
    )
