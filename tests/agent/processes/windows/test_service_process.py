"""A process that no service control manager has started, and the event log. A real service is in
test_services.py."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import pytest

from remote_agent.processes.windows.service_process import report, serve


def test_without_a_manager_the_body_does_not_run() -> None:
    ran = []
    with pytest.raises(OSError) as raised:
        serve("remote-agent-test", lambda: ran.append(1) or 0)
    # ERROR_FAILED_SERVICE_CONTROLLER_CONNECT
    assert raised.value.winerror == 1063 and not ran


def test_an_event_is_written() -> None:
    report("remote-agent-test", "a fault of the test " + "x" * 40_000, error=True)
    report("remote-agent-test", "a warning of the test", error=False)
