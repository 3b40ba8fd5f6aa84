"""How things are printed: sentences, fields, times, and the API's own documents for programs.

What others have written (names, commands, reasons) reaches no terminal as it is: its control
characters are shown, not obeyed. Only the output of jobs is theirs, byte for byte.
"""

from __future__ import annotations

import contextlib
import math
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final

import click

from remote_client.errors import ClientError, UsageError
from remote_protocol.printable import json_text, printable
from remote_protocol.units import format_duration, format_size

_COLOURS: Final = {
    "succeeded": "32", "failed": "31", "cancelled": "33", "running": "36",
    "online": "32", "stale": "33", "offline": "31",
}  # fmt: skip
_AGES: Final = ((2 * 86400, 86400, "d"), (2 * 3600, 3600, "h"), (120, 60, "m"))


def stdout() -> BinaryIO:
    """Where results go, as bytes. ClientError when whoever started us had closed it."""
    if sys.stdout is None:
        raise ClientError(
            "stdout is closed: there is nowhere to print to; send it to a file, or to /dev/null"
        )
    return sys.stdout.buffer


def stderr() -> BinaryIO | None:
    """Where sentences go, as bytes; None when it is closed."""
    return None if sys.stderr is None else sys.stderr.buffer


def say(text: str) -> None:
    """A line on stdout."""
    stdout()
    click.echo(text)


def note(sentence: str) -> None:
    """A sentence about the work, on stderr, so that stdout stays the job's own."""
    try:
        click.echo(f"remotectl: {printable(sentence)}", err=True)
    except OSError:  # nobody reads stderr: the work goes on all the same
        _drop(2)


def print_json(document: object) -> None:
    """The API's own document."""
    say(json_text(document))


def one_line(text: str) -> str:
    """The same on one line."""
    return printable(text.replace("\n", "\\n").replace("\t", "\\t"))


def colours() -> bool:
    """Whether stdout is a terminal that is to show colours (no-color.org)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return not plain and sys.stdout is not None and sys.stdout.isatty()


def coloured(text: str) -> str:
    """The name of a state in its colour, everything else as it is."""
    colour = _COLOURS.get(text.split(" ", 1)[0])
    return f"\x1b[{colour}m{text}\x1b[0m" if colour and colours() else text


def bold(text: str) -> str:
    """Bold on a terminal."""
    return f"\x1b[1m{text}\x1b[0m" if text and colours() else text


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Name and value, one a line; empty values are left out."""
    shown = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        say(f"{bold(name)}{' ' * (width - len(name))}  {coloured(one_line(value))}")


# Values of documents, whatever an agent or another version has made of them ------------------


def moment(text: object) -> datetime | None:
    """A time of the API; None when it is none."""
    try:
        found = datetime.fromisoformat(str(text))
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        return None


def when(text: object) -> str:
    """Local date and time with the zone, empty for none."""
    found = text if isinstance(text, datetime) else moment(text) if text else None
    try:
        return found.astimezone().isoformat(" ", "seconds") if found else str(text or "")
    except (OverflowError, OSError):  # a time that this system's calendar does not have
        return str(text)


def seconds_between(start: object, end: object) -> float | None:
    """From `start` to `end` (now when it has not come); zero when a clock was set back."""
    begin = moment(start) if start else None
    if begin is None:
        return None
    finish = moment(end) if end else None
    return max(0.0, ((finish or datetime.now(UTC)) - begin).total_seconds())


def between(start: object, end: object) -> str:
    """The same in words, empty without a start."""
    seconds = seconds_between(start, end)
    return "" if seconds is None else format_duration(seconds)


def ago(text: object) -> str:
    """How long ago, as `4m12s ago`; empty for none."""
    seconds = seconds_between(text, None)
    return "" if seconds is None else f"{format_duration(seconds)} ago"


def age(text: object) -> str:
    """How long ago in one short word, as `42s`, `5m`, `3d`; empty for none."""
    seconds = seconds_between(text, None)
    if seconds is None:
        return ""
    for least, length, unit in _AGES:
        if seconds >= least:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds:.0f}s"


def size(number: object) -> str:
    """Bytes in words; empty for none, and as it is when it can be no number of bytes."""
    if not isinstance(number, int | float) or isinstance(number, bool) or not number:
        return ""
    try:
        sound = number > 0 and math.isfinite(float(number))
    except OverflowError:
        sound = False
    return format_size(int(number)) if sound else f"{str(number)[:20]} (not a size)"


def duration(number: object) -> str:
    """Seconds in words; empty for none, and as it is when it can be no duration."""
    if not isinstance(number, int | float) or isinstance(number, bool):
        return ""
    try:
        sound = number >= 0 and math.isfinite(float(number))
    except OverflowError:
        sound = False
    return format_duration(float(number)) if sound else f"{str(number)[:20]} (not a duration)"


def pairs(values: object) -> str:
    """`k=v, k=v`."""
    if not isinstance(values, Mapping):
        return ""
    return ", ".join(f"{key}={value}" for key, value in values.items())


def names(values: object) -> str:
    """`a, b`."""
    return ", ".join(str(value) for value in values) if isinstance(values, list) else ""


def text_of(document: Mapping[str, Any], key: str) -> str:
    """A value as text; empty for none."""
    value = document.get(key)
    return "" if value is None else str(value)


@contextlib.contextmanager
def place_for_secret(path: str | None) -> Iterator[Callable[[str], None]]:
    """Where the secret goes that a call makes: shown once, or written into a new file (0600).

    The file is opened before the call, so that no secret is made that nobody can get, and removed
    when none came. UsageError when it exists or cannot be made.
    """
    if path is None:
        yield _show_secret
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"--output-file {path} exists already; name a new file") from None
    except OSError as error:
        raise UsageError(f"--output-file {path} cannot be made: {error.strerror}") from None
    written = False

    def write(text: str) -> None:
        nonlocal written
        try:
            os.write(descriptor, f"{text}\n".encode())
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from None
        written = True
        note(f"written to {path}, which only you can read")

    try:
        yield write
    finally:
        os.close(descriptor)
        if not written:
            os.unlink(path)


def _show_secret(text: str) -> None:
    with contextlib.suppress(OSError):
        about = os.fstat(1)
        if stat.S_ISREG(about.st_mode) and about.st_mode & 0o077:
            note("others can read the file that it goes to; chmod 600 it, or use --output-file")
    say(text)


def drop_stdout() -> None:
    """Nobody takes it any more: what is left must not fail again when Python flushes it at exit,
    which would end the program with 120."""
    _drop(1)


def _drop(number: int) -> None:
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), number)
