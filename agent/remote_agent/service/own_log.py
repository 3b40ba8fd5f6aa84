"""What the agent's own log complains about. Pure."""

from __future__ import annotations

import json
from typing import Final

_AT_ITS_END: Final = "taking no jobs"


def complaint(line: str) -> str:
    """What a line of the log complains about, for people; empty for other lines."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    # That one which was restarted took no jobs at its end explains nothing.
    if not isinstance(entry, dict) or entry.get("level") not in ("warning", "error"):
        return ""
    if entry.get("event") == _AT_ITS_END:
        return ""
    return ": ".join(str(entry[key]) for key in ("event", "reason") if entry.get(key))
