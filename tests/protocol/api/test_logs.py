"""Records of logs."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.logs import LogRecord


def test_bytes_that_are_no_text_come_in_base64() -> None:
    record = LogRecord.model_validate(
        {"offset": 3, "time": "t", "stream": "stderr", "data_base64": "/w=="}
    )
    assert (record.text, record.data_base64) == (None, "/w==")
    with pytest.raises(ValidationError):
        LogRecord.model_validate({"offset": 3, "time": "t", "stream": "stdin", "text": ""})
