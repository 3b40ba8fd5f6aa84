"""This process as a service: what the service control manager hears and asks (Windows).

The agent keeps the main thread, where Python's signals are handled: to stop it is a Ctrl-C for it.
"""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import _thread
import ctypes
import signal
import threading
from collections.abc import Callable
from ctypes import wintypes as w
from typing import Final

from remote_agent.processes.windows import api
from remote_agent.processes.windows import service_api as scm

_OWN_PROCESS: Final = 0x10
_STOPPED, _STOPPING, _RUNNING = 1, 3, 4
_ACCEPTS: Final = 0x5
"""SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN."""
_STOP, _INTERROGATE, _SHUTDOWN = 1, 4, 5
_DONE: Final = 0
_NOT_IMPLEMENTED: Final = 120
_ITS_OWN_CODE: Final = 1066
_HINT: Final = 90_000
"""Milliseconds that starting or stopping may take."""
_STARTED_WITHIN: Final = 30.0
_WARNING, _ERROR = 2, 1
_EVENT: Final = 1
_LONGEST: Final = 30_000
"""Characters of one event (ReportEventW)."""


def serve(name: str, body: Callable[[], int]) -> int:
    """Be the service `name` while `body` runs in this thread; its exit code, which the manager
    hears, too. OSError when no service control manager has started this process."""
    service = _Service(name)
    thread = threading.Thread(target=service.dispatch, name="service", daemon=True)
    thread.start()
    if not service.answered.wait(_STARTED_WITHIN):
        raise TimeoutError("the service control manager does not answer")
    if service.error is not None:
        # The process must not end while the thread does: once, in Wine, it had another exit code.
        thread.join()
        raise service.error
    code = 1
    try:
        code = body()
    finally:
        service.end(code)
        thread.join(_STARTED_WITHIN)
    return code


def report(name: str, text: str, error: bool) -> None:
    """Write an event of the service `name`, an error or a warning. OSError."""
    source = api.check(scm.register_source(None, name), name)
    try:
        texts = (w.LPCWSTR * 1)(text[:_LONGEST])
        kind = _ERROR if error else _WARNING
        api.check(scm.report_event(source, kind, 0, _EVENT, None, 1, 0, texts, None), name)
    finally:
        scm.deregister_source(source)


class _Service:
    """What the manager is told; the callbacks are kept for as long as it may call them."""

    def __init__(self, name: str) -> None:
        self.answered = threading.Event()
        self.error: OSError | None = None
        self._name = name
        self._ended = threading.Event()
        self._code = 1
        self._handle = 0
        self._main = scm.Main(self._run)
        self._control = scm.Control(self._obey)

    def dispatch(self) -> None:
        """Connect to the manager; returns at the end of the service, or when there is none."""
        table = (scm.TableEntry * 2)(scm.TableEntry(self._name, self._main))
        if not scm.dispatch(table):
            self.error = api.failure(ctypes.get_last_error(), self._name)
            self.answered.set()

    def end(self, code: int) -> None:
        """The service has ended with this exit code."""
        self._code = code
        self._ended.set()

    def _run(self, count: int, arguments: object) -> None:
        """The service's main function, in a thread of the manager's."""
        self._handle = scm.register_control(self._name, self._control, None)
        self._tell(_RUNNING)
        self.answered.set()
        self._ended.wait()
        self._tell(_STOPPED)

    def _obey(self, control: int, kind: int, data: object, context: object) -> int:
        if control == _INTERROGATE:
            return _DONE
        if control not in (_STOP, _SHUTDOWN):
            return _NOT_IMPLEMENTED
        self._tell(_STOPPING)
        _thread.interrupt_main(signal.SIGINT)
        return _DONE

    def _tell(self, state: int) -> None:
        code = self._code if state == _STOPPED else 0
        status = scm.Status(
            kind=_OWN_PROCESS,
            state=state,
            accepts=_ACCEPTS if state == _RUNNING else 0,
            exit_code=_ITS_OWN_CODE if code else 0,
            own_exit_code=code,
            checkpoint=int(state == _STOPPING),
            wait_hint=_HINT if state == _STOPPING else 0,
        )
        scm.set_status(self._handle, ctypes.byref(status))
