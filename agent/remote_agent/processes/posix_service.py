"""Services of Windows do not exist on POSIX systems: systemd starts the agent as any program."""

from __future__ import annotations

from collections.abc import Callable

from remote_agent.processes.types import ServiceControl


def service_control() -> ServiceControl | None:
    """None: this is not Windows."""
    return None


def serve(name: str, body: Callable[[], int]) -> int:
    """OSError: no service control manager has started this process."""
    raise OSError(38, "services of this kind are Windows'", name)


def report(name: str, text: str, error: bool) -> None:
    """OSError: there is no event log."""
    raise OSError(38, "there is no event log", name)
