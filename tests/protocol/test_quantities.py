"""Durations and sizes in models."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from remote_protocol.quantities import Duration, Size, Span


def test_as_types() -> None:
    with pytest.raises(ValidationError, match="zero is not a limit"):
        TypeAdapter(Span).validate_python("0s")
    assert TypeAdapter(Duration).validate_python("1h") == 3600
    assert TypeAdapter(Size).validate_python("1KiB") == 1024
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python("400d")
    with pytest.raises(ValidationError):
        TypeAdapter(Size).validate_python(1024**5 + 1)
