"""The end of an attempt that has not begun. Writes in its directory, by its shim's own rules."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import structlog

from remote_agent.processes import Folder
from remote_agent.shim.layout import EXIT, STARTED
from remote_agent.shim.record import mark_begun, write_record
from remote_protocol.states import EndReason

log = structlog.get_logger("journal")


def end_before_start(
    directory: Path, reason: EndReason, detail: str, after: str = "; it had not started"
) -> dict[str, Any] | None:
    """End an attempt that has not begun, so that it never will (I1): its exit record, kept unless
    the disk refuses. `after` ends the sentence of `detail`. None when it has begun, or may begin.

    Taken is the same lock and the same marker that its shim would need.
    """
    body = {
        "exit_code": None,
        "end_reason": reason.value,
        "end_detail": f"{detail or 'cancelled'}{after}",
        "size": 0,
        "checksum": 0,
        "ended_at": round(time.time(), 6),  # as the record has it
    }
    try:
        folder = Folder(directory)
    except OSError:
        return None
    try:
        if not folder.lock():
            return None
        mark_begun(folder)
        write_record(folder, EXIT, body, sync=True)
    except FileExistsError:
        return None
    except OSError as error:
        log.error(
            "an attempt that has not started cannot be ended on the disk",
            at=str(directory),
            reason=error.strerror,
        )
        # With the marker there it never starts, whether the record can be kept or not.
        return body if folder.exists(STARTED) else None
    finally:
        folder.close()
    return body
