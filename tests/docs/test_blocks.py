"""Every command block of the README and the guides is run as it stands; no block is left out
without a reason in the document. `make test-docs`: two minutes, so no part of `make test`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import INTERRUPT, Block, blocks

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELLS = {"sh"}
ELSEWHERE = {
    "docs/datahub.md": "tests/ingestion/test_document.py",
    "docs/systemd.md": "tests/systemd/test_document.py",
    "docs/install.md": "tests/packages/test_one_file.py",
    "docs/install-packages.md": "tests/packages/test_document.py",
    "docs/install-ansible.md": "tests/ansible/test_document.py",
    "docs/install-containers.md": "tests/containers/test_document.py",
    "docs/install-kubernetes.md": "tests/kubernetes/test_documents.py",
    "docs/install-ecs.md": "tests/kubernetes/test_documents.py",
}
"""Documents whose blocks need another world than this test's, and the test that makes it."""
OTHERS = {"", "json", "toml", "yaml", "mermaid", "sql", "powershell", "nginx", "python"}
"""Languages of blocks that are no commands."""
NOT_RUN = 19
"""Blocks that are shown and not run, in all documents; each says why. Fewer are better."""
PLACE = Path(__file__).with_name("place.py")
UNSHARE = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def read(document: Path) -> list[Block]:
    return blocks(document.read_text(encoding="utf-8"))


def with_commands() -> list[Path]:
    here = [document for document in DOCUMENTS if name(document) not in ELSEWHERE]
    return [document for document in here if any(b.language in SHELLS for b in read(document))]


def namespaces() -> list[str] | None:
    """How to get namespaces here: as root, or as a user who becomes root in one of users."""
    for line in (UNSHARE, [*UNSHARE, "--map-root-user"]):
        try:
            made = subprocess.run([*line, "true"], capture_output=True, check=False)
        except FileNotFoundError:
            return None
        if made.returncode == 0:
            return line
    return None


def test_every_block_has_a_language_that_is_known() -> None:
    strange = [
        f"{name(document)}:{block.line}: {block.language}"
        for document in DOCUMENTS
        for block in read(document)
        if block.language not in {*SHELLS, *OTHERS, INTERRUPT}
    ]
    assert strange == []


def test_blocks_that_are_not_run_say_why_and_are_counted() -> None:
    left_out = [
        f"{name(document)}:{block.line}: {block.not_run}"
        for document in DOCUMENTS
        for block in read(document)
        if block.not_run
    ]
    assert len(left_out) == NOT_RUN, "\n".join(left_out)


def test_no_command_hides_in_another_block() -> None:
    """Whoever writes commands writes them into blocks of shell, which are run."""
    command = re.compile(r"\s*(\$ )?(\S*/)?(remotectl|remote-agent|remote-server|curl|make) [a-z-]")
    hidden = [
        f"{name(document)}:{block.line}"
        for document in DOCUMENTS
        for block in read(document)
        if block.language in ("", "text", "console")
        and any(command.match(line) for line in block.text.splitlines())
    ]
    assert hidden == []


@pytest.mark.parametrize("document", with_commands(), ids=name)
def test_every_command_works_as_it_stands(document: Path, tmp_path: Path) -> None:
    line = namespaces()
    if line is None:
        pytest.skip("needs Linux, and the right to make namespaces")
    done = subprocess.run(
        [*line, sys.executable, PLACE, document, tmp_path, BIN],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-6000:]}"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("```sh\nx\n", "ends within"),
        ("<!-- test: not run: why -->\nwords\n", "no block follows"),
        ("<!-- test: later -->\n```sh\nx\n```\n", "no comment that the test knows"),
        ("see <!-- test: not run: x -->\n", "not alone"),
        ("<!-- test: not run: -->\n```sh\nx\n```\n", "no comment that the test knows"),
    ],
)
def test_what_cannot_be_understood_is_a_fault(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        blocks(text)


def test_comments_are_understood() -> None:
    found = blocks(
        '```toml\na = 1\n```\n<!-- test: runs on, until it says "x y" -->\n```sh\nb\n```\n'
        "<!-- test: ends with 78 -->\n```sh\nc\n```\n<!-- test: not run: it is long -->\n"
        "```sh\nd\n\ne\n```\n<!-- test: Ctrl-C -->\n"
    )
    assert found == [
        Block(2, "toml", "a = 1\n"),
        Block(6, "sh", "b\n", until="x y"),
        Block(10, "sh", "c\n", code=78),
        Block(14, "sh", "d\n\ne\n", not_run="it is long"),
        Block(18, INTERRUPT, ""),
    ]


def test_a_command_that_fails_fails_its_document(tmp_path: Path) -> None:
    """The test can fail: a wrong option, an example that ends otherwise, one that says nothing."""
    line = namespaces()
    if line is None:
        pytest.skip("needs Linux, and the right to make namespaces")
    for number, text in enumerate(
        (
            "```sh\ntrue\nremote-server run --nonsense\ntrue\n```\n",
            "<!-- test: ends with 3 -->\n```sh\nexit 4\n```\n",
            '<!-- test: runs on, until it says "ready" -->\n```sh\ntrue\n```\n',
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "document.md").write_text(text)
        done = subprocess.run(
            [*line, sys.executable, PLACE, folder / "document.md", folder, BIN],
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode != 0, text
