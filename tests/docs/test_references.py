"""What documents and comments refer to exists: links, tests, and no numbers of lists elsewhere."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(document: Path) -> set[str]:
    """The anchors of its headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).strip().lower().replace(" ", "-") for head in heads}


def test_decisions_have_numbers_of_their_own() -> None:
    decisions = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [path.name[:5] for path in decisions] == [
        f"{number:04}-" for number in range(1, len(decisions) + 1)
    ]
    for number, path in enumerate(decisions, 1):
        assert path.read_text(encoding="utf-8").startswith(f"# {number}. "), path.name


def test_decisions_are_cited_by_their_numbers() -> None:
    cited = 0
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for number, file in re.findall(r"\[ADR\s+(\d+)\]\([^)]*?decisions/(\d{4})-", text):
            cited += 1
            assert int(number) == int(file), f"{name(document)}: ADR {number} leads to {file}"
    assert cited > 5


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    broken = []
    for link in _LINK.findall(document.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (document.parent / path) if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_test_that_a_document_names_exists() -> None:
    named, missing = 0, []
    for document in DOCUMENTS:
        for file, test in _TEST.findall(document.read_text(encoding="utf-8")):
            named += 1
            # The provider has tests of its own, beside it.
            above = "" if file.startswith("airflow_provider/") else "tests"
            path = ROOT / above / file.removeprefix("tests/")
            tree = (
                ast.parse(path.read_text(encoding="utf-8")) if path.exists() else ast.Module([], [])
            )
            found = {
                node.name
                for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            if test not in found:
                missing.append(f"{name(document)}: {file}::{test}")
    assert named > 30
    assert not missing, "\n".join(missing)


def test_nothing_is_known_by_the_number_of_a_list_that_nobody_has() -> None:
    folders = ("protocol", "agent", "server", "client", "datahub", "tests", "demo")
    files = [path for folder in folders
             for path in (ROOT / folder).rglob("*.py")]  # fmt: skip
    hits = []
    for path in [*files, *DOCUMENTS]:
        if path == Path(__file__) or "recorded" in path.parts:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if re.search(r"\b[RD]\d{1,2}\b(?=[).,: ])", line) and re.search('"""|#|\\|', line):
                hits.append(f"{name(path)}:{number}: {line.strip()}")
    assert not hits, "\n".join(hits)
