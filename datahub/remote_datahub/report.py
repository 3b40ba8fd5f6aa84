"""What a job's outputs say of its ingestion: figures, failures and warnings. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from remote_protocol.printable import printable

_MOST: Final = 200
_WORDS: Final = {
    "SUCCESS": "Succeeded",
    "FAILURE": "Failed",
    "CANCELLED": "Cancelled",
    "CONNECTED": "The source can be reached",
    "NOT_CONNECTED": "The source cannot be reached",
}
ARTIFACT: Final = "ingestion_report.json"
"""The artifact with DataHub's whole report."""


class Finding(NamedTuple):
    """A failure or a warning."""

    failed: bool
    title: str
    message: str
    context: str
    times: int


class Report(NamedTuple):
    """What an ingestion's job has said of it."""

    status: str
    """`SUCCESS`, `FAILURE`, `CANCELLED`, `CONNECTED` or `NOT_CONNECTED`."""
    figures: list[tuple[str, str]]
    """Names for people, with their values."""
    findings: list[Finding]
    left_out: int
    """How many more failures and warnings there were than are listed."""

    @property
    def words(self) -> str:
        """The status for people."""
        return _WORDS.get(self.status, self.status)


def report_of(outputs: Mapping[str, Any]) -> Report | None:
    """The report in a job's outputs, None when they hold none."""
    texts = {str(name): str(value) for name, value in outputs.items()}
    if "status" not in texts or "seconds" not in texts:
        return None
    named = (
        ("Source", "source"),
        ("Sink", "sink"),
        ("Events read", "events_produced"),
        ("Records written", "records_written"),
        ("Failures", "failures"),
        ("Warnings", "warnings"),
        ("Ran", "seconds"),
    )
    figures = [
        (words, f"{texts[name]} s" if name == "seconds" else texts[name])
        for words, name in named
        if name in texts
    ]
    found = _findings(texts.get("findings", ""))
    total = sum(_number(texts.get(name)) for name in ("failures", "warnings"))
    return Report(texts["status"], figures, found, max(0, total - sum(one.times for one in found)))


def _findings(text: str) -> list[Finding]:
    try:
        document = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return []  # written by a job: it may be anything
    found = []
    for failed, name in ((True, "failures"), (False, "warnings")):
        listed = document.get(name) if isinstance(document, dict) else None
        for one in listed[:_MOST] if isinstance(listed, list) else []:
            if isinstance(one, dict):
                title, message, context = (
                    printable(str(one.get(key) or "")) for key in ("title", "message", "context")
                )
                times = max(1, _number(one.get("count")))
                found.append(Finding(failed, title, message, context, times))
    return found


def _number(value: object) -> int:
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 16 else 0
