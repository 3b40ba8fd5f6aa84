"""What people type into forms, as the values that bodies of the API have, and back. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator

from remote_protocol.ids import Labels
from remote_protocol.parts import Capacity, Queues
from remote_server.domain.capacity import DEFAULT_CLASS

_BETWEEN: Final = re.compile(r"[\s,]+")
_LINES: Final = re.compile(r"[\r\n,]+")


def queues_from(given: object) -> object:
    """Names, divided by commas or spaces; in one text, or in several that were divided before."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return given
    return [name for text in texts for name in _BETWEEN.split(text) if name]


def labels_from(text: object) -> object:
    """`key=value`, divided by commas or line ends. ValueError."""
    if not isinstance(text, str):
        return text
    found: dict[str, str] = {}
    for line in _LINES.split(text):
        key, equals, value = line.strip().partition("=")
        if not key and not equals:
            continue
        if not equals:
            raise ValueError(f"write each label as key=value; {key[:40]!r} has no =")
        found[key.strip()] = value.strip()
    return found


def capacity_from(text: object) -> object:
    """`4`, or `default=4,monitors=10`. ValueError."""
    if not isinstance(text, str):
        return text
    found: dict[str, int] = {}
    for part in _BETWEEN.split(text.strip()):
        name, equals, number = part.partition("=")
        size = number if equals else name
        if not (size.isascii() and size.isdigit()) or len(size) > 9:
            raise ValueError("write a number, or one for each class: default=4,monitors=10")
        found[name if equals else DEFAULT_CLASS] = int(size)
    return found


def labels_text(labels: Mapping[str, str]) -> str:
    """As somebody types them."""
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def capacity_text(capacity: Mapping[str, int]) -> str:
    """As somebody types it."""
    if set(capacity) == {DEFAULT_CLASS}:
        return str(capacity[DEFAULT_CLASS])
    return ",".join(f"{name}={size}" for name, size in capacity.items())


# A form has one text where a body of the API has a list or a mapping.
GivenQueues = Annotated[Queues, BeforeValidator(queues_from)]
GivenLabels = Annotated[Labels, BeforeValidator(labels_from)]
GivenCapacity = Annotated[Capacity, BeforeValidator(capacity_from)]
