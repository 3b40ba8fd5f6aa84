"""How things are printed: tables by rich for people, the API's own documents for programs.

What others have written (names, commands, reasons) reaches no terminal as it is: its control
characters are shown, not obeyed. Only the output of jobs is theirs, byte for byte.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from pydantic import BaseModel
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from remote_protocol.states import AgentState, JobState
from remote_protocol.units import format_duration

_CONTROLS: Final = re.compile(
    # C0 and DEL without tab and newline, C1, and what turns the direction of writing (UAX #9).
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
STATE_STYLE = {
    JobState.SUCCEEDED.value: "green",
    JobState.FAILED.value: "red",
    JobState.CANCELLED.value: "yellow",
    JobState.RUNNING.value: "cyan",
    AgentState.ONLINE.value: "green",
    AgentState.STALE.value: "yellow",
    AgentState.OFFLINE.value: "red",
}


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--output table|json` that every list, show and create has."""
    return click.option(
        "--output",
        "-o",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        envvar="REMOTE_OUTPUT",
        help="For people or for programs. [env: REMOTE_OUTPUT]",
    )(command)


def print_json(document: BaseModel | Sequence[BaseModel]) -> None:
    """The API's own document, or a JSON array of them."""
    if isinstance(document, BaseModel):
        text = document.model_dump_json(indent=2)
    else:
        text = "[" + ",\n ".join(item.model_dump_json() for item in document) + "]"
    # Those that JSON (RFC 8259 §7) lets stand in strings; escaped they mean the same.
    click.echo(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def printable(text: str) -> str:
    """The text with its control characters shown as `\\x1b`; tabs and newlines stay."""
    return _CONTROLS.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], empty: str) -> None:
    """A table on stdout; `empty` is the sentence for no rows, on stderr."""
    listed = list(rows)
    if not listed:
        click.echo(empty, err=True)
        return
    table = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in listed:
        table.add_row(*(coloured(cell.replace("\n", "\\n")) for cell in row))
    _console().print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Name and value, one a line; empty values are left out."""
    shown = [(name, value) for name, value in fields if value]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in shown:
        table.add_row(name, coloured(value))
    _console().print(table)


def coloured(text: str) -> Text:
    """A state's name in its colour, everything else as it is: no markup, no `:emoji:`."""
    return Text(printable(text), style=STATE_STYLE.get(text, ""))


def when(moment: datetime | None) -> str:
    """Local date and time, empty for none."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def ago(moment: datetime | None) -> str:
    """How long ago, as `4m12s ago`; empty for none."""
    if moment is None:
        return ""
    return f"{format_duration(max(0.0, (datetime.now(UTC) - moment).total_seconds()))} ago"


def between(start: datetime | None, end: datetime | None) -> str:
    """The time from `start` to `end` (now when it has not come), empty without a start."""
    if start is None:
        return ""
    return format_duration(max(0.0, ((end or datetime.now(UTC)) - start).total_seconds()))


def pairs(values: dict[str, Any]) -> str:
    """`k=v, k=v`."""
    return ", ".join(f"{key}={value}" for key, value in values.items())


def note(sentence: str) -> None:
    """A sentence about the work, on stderr, so that stdout stays the job's own."""
    with contextlib.suppress(OSError):  # nobody reads stderr: the work goes on all the same
        click.echo(f"remotectl: {printable(sentence)}", err=True)


def drop_stdout() -> None:
    """Its reader has gone: what is left must not raise again when Python flushes it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _console() -> Console:
    width = None if sys.stdout.isatty() else 200
    return Console(width=width, highlight=False, soft_wrap=False)
