"""The fenced blocks of a document, and what its comments tell the test about them.

    <!-- test: not run: it needs a second host -->      the block is shown only; the reason counts
    <!-- test: runs on, until it says "listens on" -->  in the background, till the document ends
    <!-- test: ends with 78 -->                         an exit code other than 0 is intended

Such a comment stands on the line before the fence. One stands alone:

    <!-- test: Ctrl-C -->                               here the reader ends what runs on

Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

INTERRUPT = "Ctrl-C"
"""In place of a language: no block, but the end of those that run on."""
_FENCE = re.compile(r"^(`{3,})(\w*)\s*$")
_COMMENT = re.compile(r"<!-- test: (.+?) -->\s*")
_NOT_RUN = re.compile(r"not run: (\S.+)")
_RUNS_ON = re.compile(r'runs on, until it says "(.+)"')
_ENDS = re.compile(r"ends with (\d+)")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `line` is that of its first line within."""

    line: int
    language: str
    text: str
    not_run: str = ""
    until: str = ""
    code: int = 0


def blocks(document: str) -> list[Block]:
    """All blocks in their order. ValueError for a fence that is not closed, and for a comment to
    the test that is not understood or stands before no block."""
    found: list[Block] = []
    comment, fence, language, begun, lines = "", "", "", 0, list[str]()
    for number, line in enumerate(document.splitlines(), 1):
        if fence:
            if line == fence:
                found.append(_block(begun, language, "\n".join(lines) + "\n", comment))
                fence = comment = ""
            else:
                lines.append(line)
        elif match := _FENCE.match(line):
            fence, language, begun, lines = match[1], match[2], number + 1, []
        elif comment:
            raise ValueError(f"line {number}: no block follows the comment {comment!r}")
        elif match := _COMMENT.fullmatch(line):
            if match[1] == INTERRUPT:
                found.append(Block(number, INTERRUPT, ""))
            else:
                comment = match[1]
        elif "test:" in line and "<!--" in line:
            raise ValueError(f"line {number}: the comment is not alone on its line")
    if fence or comment:
        raise ValueError("the document ends within a block, or after a comment to the test")
    return found


def _block(line: int, language: str, text: str, comment: str) -> Block:
    if not comment:
        return Block(line, language, text)
    if match := _NOT_RUN.fullmatch(comment):
        return Block(line, language, text, not_run=match[1])
    if match := _RUNS_ON.fullmatch(comment):
        return Block(line, language, text, until=match[1])
    if match := _ENDS.fullmatch(comment):
        return Block(line, language, text, code=int(match[1]))
    raise ValueError(f"line {line}: {comment!r} is no comment that the test knows")
