"""The outputs of an attempt: short texts by name, that its job gives back beside its log. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from remote_protocol.ids import at_most
from remote_protocol.limits import (
    MAX_OUTPUT_VALUE,
    MAX_OUTPUTS,
    MAX_OUTPUTS_SIZE,
    NO_OUTPUT,
    OUTPUT_KEY_PATTERN,
)

_NO_TEXT: Final = re.compile(f"[{NO_OUTPUT}]")


def _value(text: str) -> str:
    if _NO_TEXT.search(text):
        raise ValueError("an output holds no control characters but tabs and line ends")
    if len(text.encode()) > MAX_OUTPUT_VALUE:
        raise ValueError(f"an output has at most {MAX_OUTPUT_VALUE} bytes")
    return text


def _together(outputs: dict[str, str]) -> dict[str, str]:
    size = sum(len(key) + len(value.encode()) for key, value in outputs.items())
    if size > MAX_OUTPUTS_SIZE:
        raise ValueError(f"all outputs together have at most {MAX_OUTPUTS_SIZE} bytes, not {size}")
    return outputs


OutputKey = Annotated[str, StringConstraints(pattern=OUTPUT_KEY_PATTERN)]
OutputValue = Annotated[str, StringConstraints(max_length=MAX_OUTPUT_VALUE), AfterValidator(_value)]
Outputs = Annotated[
    dict[OutputKey, OutputValue],
    Field(max_length=MAX_OUTPUTS),
    BeforeValidator(at_most(MAX_OUTPUTS, "outputs")),
    AfterValidator(_together),
]
"""All outputs of an attempt, by key, in the order in which they were given."""
