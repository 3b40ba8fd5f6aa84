"""The Win32 calls that Python does not have, declared once for ctypes. Touches nothing itself.

Names and layouts are those of the Windows SDK (winbase.h, winnt.h, winternl.h).
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import ctypes
from ctypes import wintypes as w
from typing import Any, Final

_DLLS: Final = {
    name: ctypes.WinDLL(name, use_last_error=True)
    for name in ("kernel32", "advapi32", "ws2_32", "ntdll")
}
_P: Final = ctypes.c_void_p


def declare(dll: str, name: str, result: Any, *arguments: Any) -> Any:
    """A function of a DLL with its types."""
    function = getattr(_DLLS[dll], name)
    function.restype, function.argtypes = result, arguments
    return function


def check(result: Any, what: str | None = None) -> Any:
    """The result of a call; OSError about `what` when it says that the call failed."""
    if not result:
        raise failure(ctypes.get_last_error(), what)
    return result


def check_or_none(result: Any, usual: int, what: str | None = None) -> Any:
    """The result of a call; None when it failed with the `usual` code. OSError for other ones."""
    if not result:
        code = ctypes.get_last_error()
        if code != usual:
            raise failure(code, what)
    return result or None


def failure(code: int, what: str | None = None) -> OSError:
    """A Windows error code as the OSError that Python itself would raise."""
    return OSError(0, ctypes.FormatError(code).strip(), what, code)


class FileTime(ctypes.Structure):
    """FILETIME: 100 ns since 1601."""

    _fields_ = (("low", w.DWORD), ("high", w.DWORD))

    @property
    def ticks(self) -> int:
        """As one number."""
        return int(self.high) << 32 | int(self.low)


class StandardInfo(ctypes.Structure):
    """FILE_STANDARD_INFO."""

    _fields_ = (
        ("allocated", ctypes.c_int64),
        ("end", ctypes.c_int64),
        ("links", w.DWORD),
        ("delete_pending", ctypes.c_ubyte),
        ("directory", ctypes.c_ubyte),
    )


class BasicLimits(ctypes.Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", w.DWORD),
        ("least_working_set", ctypes.c_size_t),
        ("most_working_set", ctypes.c_size_t),
        ("processes", w.DWORD),
        ("affinity", ctypes.c_size_t),
        ("priority", w.DWORD),
        ("scheduling", w.DWORD),
    )


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("basic", BasicLimits),
        ("io", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


class Accounting(ctypes.Structure):
    """JOBOBJECT_BASIC_ACCOUNTING_INFORMATION; times in 100 ns."""

    _fields_ = (
        ("user", ctypes.c_int64),
        ("kernel", ctypes.c_int64),
        ("period_user", ctypes.c_int64),
        ("period_kernel", ctypes.c_int64),
        ("page_faults", w.DWORD),
        ("processes", w.DWORD),
        ("active", w.DWORD),
        ("terminated", w.DWORD),
    )


class ProcessList(ctypes.Structure):
    """JOBOBJECT_BASIC_PROCESS_ID_LIST with room for many."""

    _fields_ = (("assigned", w.DWORD), ("listed", w.DWORD), ("pids", ctypes.c_size_t * 4096))


class MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS."""

    _fields_ = (
        ("size", w.DWORD),
        ("page_faults", w.DWORD),
        ("peak_working_set", ctypes.c_size_t),
        ("working_set", ctypes.c_size_t),
        ("rest", ctypes.c_size_t * 6),
    )


class TimeOfDay(ctypes.Structure):
    """SYSTEM_TIMEOFDAY_INFORMATION; times in 100 ns since 1601."""

    _fields_ = (
        ("boot", ctypes.c_int64),
        ("now", ctypes.c_int64),
        ("zone_bias", ctypes.c_int64),
        ("zone", w.ULONG),
        ("reserved", w.ULONG),
        ("boot_bias", ctypes.c_uint64),
        ("sleep_bias", ctypes.c_uint64),
    )


create_file = declare(
    "kernel32", "CreateFileW", w.HANDLE,
    w.LPCWSTR, w.DWORD, w.DWORD, _P, w.DWORD, w.DWORD, w.HANDLE,
)  # fmt: skip
file_information = declare(
    "kernel32", "GetFileInformationByHandleEx", w.BOOL, w.HANDLE, ctypes.c_int, _P, w.DWORD
)
disk_free = declare("kernel32", "GetDiskFreeSpaceExW", w.BOOL, w.LPCWSTR, _P, _P, _P)
create_event = declare("kernel32", "CreateEventW", w.HANDLE, _P, w.BOOL, w.BOOL, w.LPCWSTR)
close_handle = declare("kernel32", "CloseHandle", w.BOOL, w.HANDLE)
open_process = declare("kernel32", "OpenProcess", w.HANDLE, w.DWORD, w.BOOL, w.DWORD)
process_times = declare("kernel32", "GetProcessTimes", w.BOOL, w.HANDLE, _P, _P, _P, _P)
process_memory = declare("kernel32", "K32GetProcessMemoryInfo", w.BOOL, w.HANDLE, _P, w.DWORD)
resume_thread = declare("kernel32", "ResumeThread", w.DWORD, w.HANDLE)
wait_for = declare("kernel32", "WaitForSingleObject", w.DWORD, w.HANDLE, w.DWORD)
create_job = declare("kernel32", "CreateJobObjectW", w.HANDLE, _P, w.LPCWSTR)
set_job = declare(
    "kernel32", "SetInformationJobObject", w.BOOL, w.HANDLE, ctypes.c_int, _P, w.DWORD
)
query_job = declare(
    "kernel32", "QueryInformationJobObject", w.BOOL, w.HANDLE, ctypes.c_int, _P, w.DWORD, _P
)
assign_job = declare("kernel32", "AssignProcessToJobObject", w.BOOL, w.HANDLE, w.HANDLE)
terminate_job = declare("kernel32", "TerminateJobObject", w.BOOL, w.HANDLE, w.UINT)
Handler: Final = ctypes.WINFUNCTYPE(w.BOOL, w.DWORD)
handle_console = declare("kernel32", "SetConsoleCtrlHandler", w.BOOL, _P, w.BOOL)
console_event = declare("kernel32", "GenerateConsoleCtrlEvent", w.BOOL, w.DWORD, w.DWORD)
select_event = declare(
    "ws2_32", "WSAEventSelect", ctypes.c_int, ctypes.c_size_t, w.HANDLE, ctypes.c_long
)
system_information = declare(
    "ntdll", "NtQuerySystemInformation", ctypes.c_long, ctypes.c_int, _P, w.ULONG, _P
)
parse_sddl = declare(
    "advapi32", "ConvertStringSecurityDescriptorToSecurityDescriptorW", w.BOOL,
    w.LPCWSTR, w.DWORD, _P, _P,
)  # fmt: skip
set_file_security = declare("advapi32", "SetFileSecurityW", w.BOOL, w.LPCWSTR, w.DWORD, _P)
local_free = declare("kernel32", "LocalFree", _P, _P)
