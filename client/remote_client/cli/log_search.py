"""`remotectl job logs --search` and `--lines`: lines of a log with their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from remote_client.cli.output import note, one_line, say
from remote_client.cli.session import Session
from remote_client.errors import UsageError
from remote_client.transport import Document

_MOST = 500
"""Lines that one call gives."""
_NEAR = 20
"""Matches that are so many lines apart are fetched together."""


def line_range(text: str) -> tuple[int, int]:
    """First and last number of `120`, `120-140` or `120-`. UsageError."""
    match = re.fullmatch(r"([1-9]\d{0,14})(?:(-)([1-9]\d{0,14})?)?", text)
    if match is None:
        raise UsageError(f"--lines {text}: write 120, 120-140 or 120-")
    first = int(match[1])
    last = int(match[3]) if match[3] else (1 << 53) - 1 if match[2] else first
    if last < first:
        raise UsageError(f"--lines {text}: the last line comes before the first")
    return first, last


def show_lines(
    session: Session, job: str, attempt: int | None, stream: str | None, first: int, last: int
) -> None:
    """Print the lines with these numbers."""
    for line in _lines(session, job, attempt, stream, first, last):
        _print(line)


def show_matches(
    session: Session, job: str, attempt: int | None, stream: str | None, words: str
) -> int:
    """Print all lines that have these words; 1 when there are none, as grep has it."""
    offset, seen = 0, 0
    while True:
        found = session.calls.find_in_log(
            job, words=words, attempt=attempt, stream=stream, offset=offset
        )
        attempt = found["attempt"]
        numbers = [hit["number"] for hit in found["items"] if hit["number"] > seen]
        for run in _runs(numbers):
            wanted = set(run)
            for line in _lines(session, job, attempt, stream, run[0], run[-1]):
                if line["number"] in wanted:
                    _print(line)
        seen = max([seen, *numbers])
        if found["done"] or (found["offset"] == offset and not numbers):
            break
        offset = found["offset"]
    if not seen:
        note(f"no line of this log has {words!r}")
    return 0 if seen else 1


def _runs(numbers: list[int]) -> Iterator[list[int]]:
    run: list[int] = []
    for number in numbers:
        if run and (number - run[-1] > _NEAR or number - run[0] >= _MOST):
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _lines(
    session: Session, job: str, attempt: int | None, stream: str | None, first: int, last: int
) -> Iterator[Document]:
    while first <= last:
        page = session.calls.log_lines(
            job,
            number=first,
            count=min(_MOST, last - first + 1),
            attempt=attempt,
            stream=stream,
        )
        # Lines of one stream have gaps: the numbers say what is meant, not how many there are.
        items = [line for line in page["items"] if line["number"] <= last]
        yield from items
        if items:
            first = items[-1]["number"] + 1
        elif page["items"] or page["counted"] >= page["size"]:
            return


def _print(line: Document) -> None:
    left = line.get("left_out")
    middle = f" … {left} bytes … {line.get('rest')}" if left else ""
    say(f"{line['number']}: {one_line(str(line['text']) + middle)}")
