"""What a server warns of while a test runs, without what only the machine does to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

HELD = "event loop held"
"""What the watchdog of any server says where the machine has more to do."""


def alarms(logs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The events of captured warnings and errors."""
    loud = [entry for entry in logs if entry["log_level"] in ("warning", "error")]
    return [entry["event"] for entry in loud if entry["event"] != HELD]
