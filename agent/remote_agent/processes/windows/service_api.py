"""The Win32 calls about services, accounts and the event log, declared for ctypes. Touches nothing.

Names and layouts are those of the Windows SDK (winsvc.h, winbase.h).
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import ctypes
from ctypes import wintypes as w
from typing import Final

from remote_agent.processes.windows.api import declare

_P: Final = ctypes.c_void_p


class Status(ctypes.Structure):
    """SERVICE_STATUS."""

    _fields_ = (
        ("kind", w.DWORD),
        ("state", w.DWORD),
        ("accepts", w.DWORD),
        ("exit_code", w.DWORD),
        ("own_exit_code", w.DWORD),
        ("checkpoint", w.DWORD),
        ("wait_hint", w.DWORD),
    )


class ProcessStatus(ctypes.Structure):
    """SERVICE_STATUS_PROCESS."""

    _fields_ = (*Status._fields_, ("pid", w.DWORD), ("flags", w.DWORD))


class Config(ctypes.Structure):
    """QUERY_SERVICE_CONFIGW."""

    _fields_ = (
        ("kind", w.DWORD),
        ("start", w.DWORD),
        ("error_control", w.DWORD),
        ("command", w.LPWSTR),
        ("group", w.LPWSTR),
        ("tag", w.DWORD),
        ("dependencies", w.LPWSTR),
        ("account", w.LPWSTR),
        ("display", w.LPWSTR),
    )


class Action(ctypes.Structure):
    """SC_ACTION; `delay` in milliseconds."""

    _fields_ = (("kind", ctypes.c_int), ("delay", w.DWORD))


class FailureActions(ctypes.Structure):
    """SERVICE_FAILURE_ACTIONSW."""

    _fields_ = (
        ("reset", w.DWORD),
        ("message", w.LPWSTR),
        ("command", w.LPWSTR),
        ("count", w.DWORD),
        ("actions", ctypes.POINTER(Action)),
    )


class Text(ctypes.Structure):
    """SERVICE_DESCRIPTIONW."""

    _fields_ = (("text", w.LPWSTR),)


class Number(ctypes.Structure):
    """SERVICE_FAILURE_ACTIONS_FLAG, SERVICE_SID_INFO."""

    _fields_ = (("value", w.DWORD),)


Main: Final = ctypes.WINFUNCTYPE(None, w.DWORD, _P)
Control: Final = ctypes.WINFUNCTYPE(w.DWORD, w.DWORD, w.DWORD, _P, _P)


class TableEntry(ctypes.Structure):
    """SERVICE_TABLE_ENTRYW."""

    _fields_ = (("name", w.LPWSTR), ("main", Main))


_TEXTS: Final = (w.LPCWSTR, w.LPCWSTR, _P, w.LPCWSTR, w.LPCWSTR, w.LPCWSTR)
open_manager = declare("advapi32", "OpenSCManagerW", w.HANDLE, w.LPCWSTR, w.LPCWSTR, w.DWORD)
open_service = declare("advapi32", "OpenServiceW", w.HANDLE, w.HANDLE, w.LPCWSTR, w.DWORD)
close_service = declare("advapi32", "CloseServiceHandle", w.BOOL, w.HANDLE)
create_service = declare(
    "advapi32", "CreateServiceW", w.HANDLE,
    w.HANDLE, w.LPCWSTR, w.LPCWSTR, w.DWORD, w.DWORD, w.DWORD, w.DWORD, *_TEXTS,
)  # fmt: skip
change_service = declare(
    "advapi32", "ChangeServiceConfigW", w.BOOL, w.HANDLE, w.DWORD, w.DWORD, w.DWORD, *_TEXTS,
    w.LPCWSTR,
)  # fmt: skip
change_more = declare("advapi32", "ChangeServiceConfig2W", w.BOOL, w.HANDLE, w.DWORD, _P)
query_config = declare(
    "advapi32", "QueryServiceConfigW", w.BOOL, w.HANDLE, _P, w.DWORD, ctypes.POINTER(w.DWORD)
)
query_status = declare(
    "advapi32", "QueryServiceStatusEx", w.BOOL,
    w.HANDLE, ctypes.c_int, _P, w.DWORD, ctypes.POINTER(w.DWORD),
)  # fmt: skip
start_service = declare("advapi32", "StartServiceW", w.BOOL, w.HANDLE, w.DWORD, _P)
control_service = declare("advapi32", "ControlService", w.BOOL, w.HANDLE, w.DWORD, _P)
delete_service = declare("advapi32", "DeleteService", w.BOOL, w.HANDLE)
dispatch = declare("advapi32", "StartServiceCtrlDispatcherW", w.BOOL, _P)
register_control = declare(
    "advapi32", "RegisterServiceCtrlHandlerExW", w.HANDLE, w.LPCWSTR, Control, _P
)
set_status = declare("advapi32", "SetServiceStatus", w.BOOL, w.HANDLE, _P)
register_source = declare("advapi32", "RegisterEventSourceW", w.HANDLE, w.LPCWSTR, w.LPCWSTR)
report_event = declare(
    "advapi32", "ReportEventW", w.BOOL,
    w.HANDLE, w.WORD, w.WORD, w.DWORD, _P, w.WORD, w.DWORD, ctypes.POINTER(w.LPCWSTR), _P,
)  # fmt: skip
deregister_source = declare("advapi32", "DeregisterEventSource", w.BOOL, w.HANDLE)
find_account = declare(
    "advapi32", "LookupAccountNameW", w.BOOL,
    w.LPCWSTR, w.LPCWSTR, _P, ctypes.POINTER(w.DWORD), w.LPWSTR, ctypes.POINTER(w.DWORD), _P,
)  # fmt: skip
sid_text = declare("advapi32", "ConvertSidToStringSidW", w.BOOL, _P, ctypes.POINTER(w.LPWSTR))
