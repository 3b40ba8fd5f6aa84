"""Durations and sizes in models."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from remote_protocol.quantities import Age, Duration, Size, Span


def test_as_types() -> None:
    with pytest.raises(ValidationError, match="zero is not a limit"):
        TypeAdapter(Span).validate_python("0s")
    assert TypeAdapter(Duration).validate_python("1h") == 3600
    assert TypeAdapter(Size).validate_python("1KiB") == 1024
    with pytest.raises(ValidationError):
        TypeAdapter(Duration).validate_python("400d")
    with pytest.raises(ValidationError):
        TypeAdapter(Size).validate_python(1024**5 + 1)


class Bounded(BaseModel):
    span: Duration = Field(default=9.0, ge=1.0, le=10.0)
    size: Size = Field(default=9, ge=5, le=10)


@pytest.mark.parametrize(
    "values",
    [{"span": "0s"}, {"span": "11s"}, {"size": 4}, {"size": "11B"}, {"span": float("nan")}],
)
def test_a_field_may_bound_them_further(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Bounded.model_validate(values)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-1", "1e400", "1" + "0" * 400, '"-1s"'])
def test_what_is_out_of_range(text: str) -> None:
    for kind in (Duration, Span, Size):
        with pytest.raises(ValidationError):
            TypeAdapter(kind).validate_json(text)


def test_what_is_kept_by_the_year() -> None:
    age = TypeAdapter(Age)
    assert age.validate_python("400d") == 400 * 86400.0
    with pytest.raises(ValidationError, match="at most 3660d"):
        age.validate_python("3661d")
