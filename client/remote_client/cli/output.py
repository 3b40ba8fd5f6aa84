"""How things are printed: tables by rich for people, the API's own documents for programs."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from pydantic import BaseModel
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from remote_protocol.states import AgentState, JobState
from remote_protocol.units import format_duration

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
        click.echo(document.model_dump_json(indent=2))
    else:
        click.echo("[" + ",\n ".join(item.model_dump_json() for item in document) + "]")


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
        table.add_row(*(coloured(cell) for cell in row))
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
    return Text(text, style=STATE_STYLE.get(text, ""))


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
        click.echo(f"remotectl: {sentence}", err=True)


def drop_stdout() -> None:
    """Its reader has gone: what is left must not raise again when Python flushes it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _console() -> Console:
    width = None if sys.stdout.isatty() else 200
    return Console(width=width, highlight=False, soft_wrap=False)
