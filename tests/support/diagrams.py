"""The state diagrams of docs/protocol.md, as sets of arrows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "protocol.md"
END: Final = "[*]"
"""Where a diagram starts and ends."""
Arrow = tuple[str, str, str]
"""State, event, next state."""
_ARROW: Final = re.compile(r"^\s+(\S+) --> (\S+?)(?:: (.+))?$", re.MULTILINE)


def arrows(title: str) -> set[Arrow]:
    """The arrows of the diagram under a heading; one line may name several events."""
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.split(f"\n### {title}\n")[1]
    block = section.split("```mermaid")[1].split("```")[0]
    assert block.lstrip().startswith("stateDiagram-v2")
    return {
        (start, event.strip(), end)
        for start, end, events in _ARROW.findall(block)
        for event in events.split(",")
    }


def changes(title: str) -> set[Arrow]:
    """The arrows between states, without those that start and end the diagram."""
    return {arrow for arrow in arrows(title) if END not in arrow}


def ends(title: str) -> set[str]:
    """The states at which the diagram ends."""
    return {start for start, _, end in arrows(title) if end == END}


def starts(title: str) -> set[str]:
    """The states at which it starts."""
    return {end for start, _, end in arrows(title) if start == END}


def table_arrows(table: Mapping[Any, Mapping[Any, str]]) -> set[Arrow]:
    """The same of a transition table: state, event, next state."""
    return {
        (str(start), str(event), str(end))
        for start, row in table.items()
        for event, end in row.items()
    }


def titles() -> Iterable[str]:
    """The headings over all state diagrams of the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for part in text.split("```mermaid\nstateDiagram-v2")[:-1]:
        yield re.findall(r"^### (.+)$", part, re.MULTILINE)[-1]
