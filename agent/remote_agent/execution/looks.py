"""One look at the directory of an attempt that is watched: has it ended, does a shim keep it?

Reads that directory. What is damaged, or was not heard of in time, the journal looks at.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from remote_agent.journal.directory import ended_from
from remote_agent.journal.end_records import end_of
from remote_agent.processes import Folder, UnexpectedEntry
from remote_agent.shim.layout import EXIT
from remote_agent.shim.record import has_begun, parse_record, read_text
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended


class Look(NamedTuple):
    """What a directory says."""

    begun: bool
    """Whether it has begun, as far as was looked."""
    kept: bool
    """Whether a shim keeps it, and no record says that it is over."""
    ended: Ended | None
    """Its end. Only of an attempt that is known to have started: else its start goes first."""


_RECORDED = Look(begun=True, kept=False, ended=None)


def look_at(key: AttemptId, directory: str | Path, started: bool) -> Look:
    """What the directory of an attempt says, which has `started` as far as is known. OSError."""
    with Folder(directory) as folder:
        try:
            record = read_text(folder, EXIT)
        except UnexpectedEntry:
            record = None
        if record is not None:
            if started and (end := end_of(key, record)) is not None:
                return Look(True, False, end.ended)
            body = parse_record(record)
            if body is not None and started:
                with suppress(ValidationError):
                    return Look(True, False, ended_from(key, body))
            if body is not None:
                return _RECORDED
        begun = has_begun(folder)
        return Look(begun, begun and folder.locked(), None)
