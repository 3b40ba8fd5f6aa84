"""What the agent's own log, and what it has printed as a service, complains about. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from remote_agent.service.calling import one_line

COMPLAINTS: Final = "service.log"
"""What the process of a service has printed, in the directory of logs: Windows and launchd keep
nothing of that."""
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


def printed(lines: Iterable[str]) -> list[str]:
    """The complaints of lines of `COMPLAINTS`, each once; a time stands before each."""
    found = (one_line(line.partition(" ")[2]) for line in lines)
    return list(dict.fromkeys(text for text in found if text))
