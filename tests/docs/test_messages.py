"""The messages that docs/troubleshooting.md quotes are those of the programs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLACEHOLDER = "…"


def said_by_the_programs() -> Iterator[str]:
    """Every string literal of the sources but docstrings; what is put in is a placeholder."""
    for dist in ("protocol", "agent", "server", "client", "datahub"):
        for path in (ROOT / dist / f"remote_{dist}").rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            within: set[int] = set()
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    within.update(id(part) for part in node.values)
                    yield "".join(
                        str(part.value) if isinstance(part, ast.Constant) else _put_in(part)
                        for part in node.values
                    )
                elif isinstance(node, ast.Expr):
                    within.add(id(node.value))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    if id(node) not in within:
                        yield node.value


def _put_in(part: ast.expr) -> str:
    quoted = isinstance(part, ast.FormattedValue) and part.conversion == ord("r")
    return f"'{PLACEHOLDER}'" if quoted else PLACEHOLDER


def quoted_in_the_guide() -> list[str]:
    """What stands between quotation marks in the first column of its tables."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    cells = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| ")]
    return [quoted for cell in cells for quoted in re.findall(r'"([^"]+)"', cell)]


def test_every_quoted_message_is_a_message() -> None:
    sources = set(said_by_the_programs())
    quoted = quoted_in_the_guide()
    assert len(quoted) > 25
    unknown = []
    for message in quoted:
        parts = [re.escape(part) for part in message.split(PLACEHOLDER)]
        pattern = re.compile(".*?".join(parts), re.DOTALL)
        if not any(pattern.search(source) for source in sources):
            unknown.append(message)
    assert not unknown, "\n".join(unknown)


def test_a_message_is_found_with_its_placeholders() -> None:
    assert "queue '…' is paused" in set(said_by_the_programs())
    assert not any("Pure." in text and "no I/O" in text for text in said_by_the_programs())
