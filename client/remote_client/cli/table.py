"""Lists: one row a line, as wide as the terminal allows; in a pipe nothing is cut.

Ids, states and times are never folded or cut. When a terminal is too narrow, empty columns go
first, then remarks and names are cut, then the less important columns go. Prints on stdout.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from remote_client.cli.options import Look
from remote_client.cli.output import bold, coloured, note, one_line, print_json, say
from remote_client.errors import UsageError

if TYPE_CHECKING:
    from remote_client.transport import Document

_GAP: Final = "  "
_PERIOD: Final = 2.0
"""Seconds between two looks at a list that is watched."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column. With `drop` it goes from a narrow terminal, the largest number first.

    `cut`: its texts may be shortened to so many characters; `wide`: shown with `-o wide` only;
    `brief`: the text on a terminal that is not to show everything.
    """

    title: str
    text: Callable[[Document], str]
    drop: int = 0
    cut: int = 0
    wide: bool = False
    brief: Callable[[Document], str] | None = None


def print_list(
    page: Document, columns: Sequence[Column], look: Look, empty: str, identity: str = "name"
) -> None:
    """A page of the API; `empty` is the sentence for no rows, on stderr."""
    items = page.get("items") or []
    if look.output == "json":
        print_json(page)
    elif look.quiet:
        for item in items:
            say(one_line(str(item.get(identity, ""))))
    elif not items:
        note(empty)
    else:
        terminal = sys.stdout is not None and sys.stdout.isatty()
        narrow = terminal and look.output != "wide"
        width = _terminal_width() if narrow else None
        for line in laid_out(items, columns, look, width):
            say(line)


def _terminal_width() -> int:
    # With all that packs archives: too long to load for what is piped.
    from shutil import get_terminal_size

    return get_terminal_size().columns


def note_more(page: Document, what: str, most: int | None) -> None:
    """Say when a list of the first `most` has left some out."""
    if page.get("next_cursor"):
        note(f"there are more {what}; --limit shows more than {most}, --all shows all")


def laid_out(
    items: Iterable[Document], columns: Sequence[Column], look: Look, width: int | None
) -> list[str]:
    """The lines of a table within `width` characters, or as wide as it is."""
    shown = [column for column in columns if not column.wide or look.output == "wide"]
    rows = [
        [one_line(((width is not None and column.brief) or column.text)(item)) for column in shown]
        for item in items
    ]
    titles = [column.title if look.headers else "" for column in shown]
    widths = [
        max(cells(title), *(cells(row[place]) for row in rows))
        for place, title in enumerate(titles)
    ]
    places = list(range(len(shown)))
    if width is not None:
        places = _fitting(shown, rows, widths, width)
    lines = [bold(_line(titles, widths, places, plain=True))] if look.headers else []
    return lines + [_line(row, widths, places) for row in rows]


def _fitting(
    columns: Sequence[Column], rows: list[list[str]], widths: list[int], width: int
) -> list[int]:
    """The columns that fit; what may be cut is narrowed in `widths`."""
    places = list(range(len(columns)))

    def excess() -> int:
        return sum(widths[place] for place in places) + len(_GAP) * (len(places) - 1) - width

    if excess() > 0:
        places = [p for p in places if not columns[p].drop or any(row[p] for row in rows)]
    while True:
        room = sum(max(0, widths[p] - columns[p].cut) for p in places if columns[p].cut)
        if excess() <= room:
            break
        droppable = [p for p in places if columns[p].drop]
        if not droppable:
            break
        places.remove(max(droppable, key=lambda place: columns[place].drop))
    while excess() > 0:
        roomy = [p for p in places if 0 < columns[p].cut < widths[p]]
        if not roomy:
            break
        widths[max(roomy, key=lambda place: widths[place])] -= 1
    return places


def _line(
    texts: Sequence[str], widths: Sequence[int], places: Sequence[int], plain: bool = False
) -> str:
    parts = []
    for place in places:
        text = _cut(texts[place], widths[place])
        space = " " * (widths[place] - cells(text)) if place != places[-1] else ""
        parts.append((text if plain else coloured(text)) + space)
    return _GAP.join(parts).rstrip()


def _cut(text: str, width: int) -> str:
    if cells(text) <= width:
        return text
    kept, used = "", 1
    for character in text:
        used += cells(character)
        if used > width:
            break
        kept += character
    return kept.rstrip() + "…"


def cells(text: str) -> int:
    """Places that a text takes on a terminal: two for wide characters (UAX #11), none for marks."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1
        for character in text
    )


def again_and_again(show: Callable[[], None]) -> None:
    """Show something every two seconds, each time on a cleared terminal, until Ctrl-C."""
    if sys.stdout is None or not sys.stdout.isatty():
        raise UsageError("--watch needs a terminal; in a script repeat the call, or read /events")
    try:
        while True:
            say("\x1b[H\x1b[2J" + time.strftime("%H:%M:%S"))
            show()
            time.sleep(_PERIOD)
    except KeyboardInterrupt:
        return
