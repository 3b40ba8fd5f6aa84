"""The identity of an attempt: one text form, one binary form, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from remote_protocol.attempt_id import MAX_NUMBER, RAW_SIZE, AttemptId
from remote_protocol.ids import ulid_from_bytes

JOB = "01ARYZ6S410000000000000000"
WIRE: TypeAdapter[AttemptId] = TypeAdapter(AttemptId)

attempts = st.builds(
    AttemptId,
    st.binary(min_size=16, max_size=16).map(ulid_from_bytes),
    st.integers(1, MAX_NUMBER),
)


@given(attempts)
def test_both_forms_name_the_same_attempt(attempt: AttemptId) -> None:
    assert AttemptId.parse(str(attempt)) == attempt
    assert AttemptId.from_bytes(attempt.raw) == attempt
    assert len(attempt.raw) == RAW_SIZE
    assert WIRE.validate_json(WIRE.dump_json(attempt)) == attempt


def test_the_text_names_job_and_number() -> None:
    assert str(AttemptId(JOB, 12)) == f"{JOB}.12"
    assert WIRE.dump_json(AttemptId(JOB, 12)) == f'"{JOB}.12"'.encode()


def test_equal_ones_are_one_key() -> None:
    held = {AttemptId(JOB, 1): "first", AttemptId(JOB, 2): "second"}
    assert held[AttemptId.parse(f"{JOB}.2")] == "second"
    assert sorted(held) == [AttemptId(JOB, 1), AttemptId(JOB, 2)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        JOB,
        f"{JOB}.",
        f"{JOB}.0",
        f"{JOB}.01",
        f"{JOB}.-1",
        f"{JOB}.+1",
        f"{JOB}. 1",
        f"{JOB}.1\n",
        f"{JOB}.1.1",
        f"{JOB}.\N{ARABIC-INDIC DIGIT ONE}",
        f"{JOB}.{MAX_NUMBER + 1}",
        f"{JOB}.{'9' * 30}",
        f"{JOB.lower()}.1",
        f"8{JOB[1:]}.1",
        "../../../../../../etc/pass.1",
    ],
)  # fmt: skip
def test_what_is_no_attempt(text: str) -> None:
    with pytest.raises(ValueError, match="an attempt is named by"):
        AttemptId.parse(text)
    with pytest.raises(ValidationError):
        WIRE.validate_python(text)


@pytest.mark.parametrize("document", ["1", "null", f'["{JOB}", 1]', f'"{JOB}.0"', '""'])
def test_what_no_message_may_have_for_one(document: str) -> None:
    with pytest.raises(ValidationError):
        WIRE.validate_json(document)


@pytest.mark.parametrize("raw", [b"", bytes(RAW_SIZE - 1), bytes(RAW_SIZE), bytes(RAW_SIZE + 1)])
def test_what_is_no_binary_form(raw: bytes) -> None:
    with pytest.raises(ValueError, match="an attempt is"):
        AttemptId.from_bytes(raw)


@pytest.mark.parametrize("number", [0, -1, MAX_NUMBER + 1])
def test_numbers_count_from_one(number: int) -> None:
    with pytest.raises(ValueError, match="the number of an attempt is"):
        _ = AttemptId(JOB, number).raw
