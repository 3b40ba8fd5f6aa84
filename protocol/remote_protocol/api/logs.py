"""Records of logs as the API shows them. Pure."""

from __future__ import annotations

from typing import Literal

from remote_protocol.api.bodies import View


class LogRecord(View):
    """One record of a log as `application/x-ndjson` or SSE."""

    offset: int
    """Position in the stored log behind this record: resume there."""
    time: str
    stream: Literal["stdout", "stderr"]
    text: str | None = None
    data_base64: str | None = None
    """Instead of `text` when the bytes are not UTF-8."""
