"""What outputs may be: both sides refuse more."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from remote_protocol.codec import encode
from remote_protocol.limits import (
    MAX_AGENT_MESSAGE,
    MAX_OUTPUT_KEY,
    MAX_OUTPUT_VALUE,
    MAX_OUTPUTS,
    MAX_OUTPUTS_SIZE,
)
from remote_protocol.messages import Ended
from remote_protocol.outputs import Outputs

OUTPUTS = TypeAdapter(Outputs)


@pytest.mark.parametrize(
    "outputs",
    [
        {},
        {"a": "", "_b.c-d": "tab\t and\r\nlines", "K" * MAX_OUTPUT_KEY: "ü 🙂"},
        {"a": "x" * MAX_OUTPUT_VALUE},
        {f"k{n}": "v" for n in range(MAX_OUTPUTS)},
    ],
)
def test_outputs(outputs: dict[str, str]) -> None:
    assert OUTPUTS.validate_python(outputs) == outputs


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ({"": "x"}, "pattern"),
        ({"1a": "x"}, "pattern"),
        ({"a b": "x"}, "pattern"),
        ({"a\n": "x"}, "pattern"),
        ({"K" * (MAX_OUTPUT_KEY + 1): "x"}, "pattern"),
        ({"a": "\0"}, "control"),
        ({"a": "\x1b[2J"}, "control"),
        ({"a": "\x85"}, "control"),
        ({"a": "x" * (MAX_OUTPUT_VALUE + 1)}, "at most"),
        ({"a": "ü" * (MAX_OUTPUT_VALUE // 2 + 1)}, f"at most {MAX_OUTPUT_VALUE} bytes"),
        ({f"k{n}": "v" for n in range(MAX_OUTPUTS + 1)}, f"at most {MAX_OUTPUTS} outputs"),
        ({f"k{n}": "v" * MAX_OUTPUT_VALUE for n in range(2)}, f"at most {MAX_OUTPUTS_SIZE} bytes"),
        ({"a": 1}, "string"),
    ],
)
def test_too_much(outputs: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        OUTPUTS.validate_python(outputs)


def test_the_most_fits_into_a_frame() -> None:
    half = '"\n' * ((MAX_OUTPUTS_SIZE - 2) // 4)
    message = {"type": "ended", "attempt": "01KADVTZ7WSMA11ESTSMA11EST.1", "end_reason": "exit"}
    numbers = {"size": 0, "checksum": 0, "ended_at": 0}
    ended = Ended.model_validate({**message, **numbers, "outputs": {"a": half, "b": half}})
    assert len(encode(ended)) < MAX_AGENT_MESSAGE
