"""Bodies of secrets: values of a size, one way to say whose they are."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.secrets import MAX_SECRET, SecretChange, SecretPut, SecretView


@pytest.mark.parametrize("value", ["", "a\0b", "x" * (MAX_SECRET + 1), "ä" * (MAX_SECRET // 2 + 1)])
def test_a_fault_of_a_value_shows_nothing_of_it(value: str) -> None:
    with pytest.raises(ValidationError) as caught:
        SecretPut.model_validate({"value": value})
    said = [fault["msg"] for fault in caught.value.errors(include_input=False)]
    assert not value or not any(value[:4] in words for words in said)


def test_a_body_does_not_show_its_value() -> None:
    body = SecretPut(value="correct horse", queues=["a"])
    assert "correct" not in repr(body) and "correct" not in str(body)
    assert len(SecretPut(value="ä" * (MAX_SECRET // 2)).value.encode()) == MAX_SECRET


def test_whose_it_is_is_said_in_one_way() -> None:
    assert SecretPut(value="a").queues is None
    assert SecretChange(queues=[]).queues == []
    for body in ({"all_queues": True, "queues": ["a"]}, {"all_queues": False}, {}):
        with pytest.raises(ValidationError):
            SecretChange.model_validate(body)


def test_a_view_has_no_value() -> None:
    assert "value" not in SecretView.model_fields
