"""How pages say times, sizes and numbers, and what they call things. Pure.

A number and its unit are never parted: a no-break space stands between them. Times of day are
written by the browser, in its zone; here they are in UTC.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from remote_protocol.units import format_duration, parse_duration, parse_size, plain_size

if TYPE_CHECKING:
    from markupsafe import Markup

NARROW: Final = "\u00a0"
"""Between a number and its unit."""
_SIZES: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

DONE: Final = {
    "signed-out": "You are signed out.",
    "cancelled": "The cancel was asked for.",
    "retried": "A new job was submitted.",
    "submitted": "The job was submitted.",
    "paused": "Paused: it takes no new jobs.",
    "resumed": "Resumed.",
    "defaulted": "Jobs that name no queue go here from now on.",
    "draining": "It drains: it takes no new jobs, and those that run end by themselves.",
    "restarting": "The restart was asked for; its jobs run on.",
    "changed": "Saved.",
    "created": "Created.",
    "deleted": "Deleted.",
    "revoked": "Revoked.",
    "enabled": "Enabled: it tells what happens from now on.",
    "disabled": "Disabled: it tells nothing until it is enabled.",
    "tested": "The test was sent; its message says what came of it.",
    "replayed": "The message is sent again.",
}
"""What a page says after an action, by a word in the address: never text from the address."""


def duration(seconds: float | None) -> str:
    """How long, with the two largest units that say something."""
    if seconds is None:
        return "–"
    if seconds < 0.0995:
        return f"{max(seconds, 0.0) * 1000:.3g}{NARROW}ms"
    if seconds < 9.95:
        return f"{seconds:.2g}{NARROW}s"
    whole = round(seconds)
    parts = ((whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "min"))
    named = [(number, unit) for number, unit in (*parts, (whole % 60, "s"))]
    first = next(index for index, (number, _) in enumerate(named) if number or index == 3)
    return " ".join(
        f"{number}{NARROW}{unit}"
        for number, unit in named[first : first + 2]
        if number or unit == named[first][1]
    )


def size(count: float | None) -> str:
    """Bytes, in powers of 1000."""
    return "–" if count is None else _scaled(float(count), 1000.0, _SIZES)


def memory(count: float | None) -> str:
    """Bytes, in powers of 1024."""
    return "–" if count is None else _scaled(float(count), 1024.0, _BINARY)


def _scaled(value: float, base: float, units: tuple[str, ...]) -> str:
    index = 0
    while value >= base * 0.9995 and index < len(units) - 1:
        value /= base
        index += 1
    text = f"{value:.1f}" if index and value < 9.95 else f"{value:.0f}"
    return f"{text}{NARROW}{units[index]}"


def number(value: float) -> str:
    """With commas between the thousands."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def many(count: float, one: str, several: str = "") -> str:
    """A number and what is counted."""
    return f"{number(count)}{NARROW}{one if count == 1 else several or one + 's'}"


def sentence(text: str) -> str:
    """A text that ends nowhere, as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def seconds_of(moment: datetime | float) -> float:
    """Unix seconds."""
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)


def iso(moment: datetime | float) -> str:
    """For the browser: RFC 3339 in UTC."""
    at = datetime.fromtimestamp(seconds_of(moment), UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(moment: datetime | float) -> str:
    """For people whose browser runs no script."""
    return datetime.fromtimestamp(seconds_of(moment), UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def ago(moment: datetime | float | None) -> str:
    """How long ago."""
    if moment is None:
        return "never"
    return f"{duration(max(0.0, time.time() - seconds_of(moment)))} ago"


def age(moment: datetime | float) -> str:
    """How long since then."""
    return duration(max(0.0, time.time() - seconds_of(moment)))


def given_duration(seconds: float | None) -> str:
    """As somebody types it into a form."""
    if seconds is None:
        return ""
    text = format_duration(seconds)
    return text if parse_duration(text) == seconds else f"{seconds:g}s"


def given_size(count: int | None) -> str:
    """As somebody types it into a form."""
    if count is None:
        return ""
    text = plain_size(count)
    return text if parse_size(text) == count else str(count)


def code(text: str) -> Markup:
    """A text in which names of programs stand `in backticks`."""
    from markupsafe import Markup, escape

    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    said = (Markup("<code>{}</code>") if place % 2 else Markup("{}") for place in range(len(parts)))
    return Markup("").join(form.format(part) for form, part in zip(said, parts, strict=True))


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "age": age,
    "ago": ago,
    "clock": clock,
    "code": code,
    "duration": duration,
    "given_duration": given_duration,
    "given_size": given_size,
    "iso": iso,
    "many": many,
    "memory": memory,
    "number": number,
    "sentence": sentence,
    "size": size,
}
