"""Small charts as numbers for SVG: bars, areas and shares, in percent of the width. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

HEIGHT = 72


class Bar(NamedTuple):
    """One bar: `x` and `width` in percent, the others in pixels."""

    x: float
    width: float
    y: float
    height: float


class Bars(NamedTuple):
    """A chart of bars."""

    bars: tuple[Bar, ...]
    most: int
    """What the upper edge stands for."""


class Area(NamedTuple):
    """A line over an area, in a box of 100 × HEIGHT."""

    points: str
    begins: str
    """Where the line begins."""
    most: int


class Part(NamedTuple):
    """One part of a whole: its style, where it begins and how wide it is, in percent."""

    kind: str
    x: float
    width: float


def bars(values: Sequence[float]) -> Bars:
    """Values as bars of one chart."""
    most = nice(max(values, default=0))
    step = 100 / max(1, len(values))
    return Bars(
        tuple(
            Bar(
                round(index * step + step * 0.12, 2),
                round(step * 0.76, 2),
                round(HEIGHT - HEIGHT * value / most, 1),
                round(HEIGHT * value / most, 1),
            )
            for index, value in enumerate(values)
            if value > 0
        ),
        most,
    )


def area(values: Sequence[float], of: int = 0) -> Area:
    """Values as a line over an area. `of`: how many values the whole width has; where fewer are
    known, the first part stays empty."""
    most = nice(max(values, default=0))
    step = 100 / max(1, max(of, len(values)) - 1)
    first = max(0, of - len(values))
    return Area(
        " ".join(
            f"{(first + index) * step:.2f},{HEIGHT - (HEIGHT - 2) * value / most:.1f}"
            for index, value in enumerate(values)
        ),
        f"{first * step:.2f}",
        most,
    )


class Line(NamedTuple):
    """A line over an area, in a box of 100 × HEIGHT; where nothing is known there is a gap."""

    pieces: tuple[tuple[str, str, str], ...]
    """Points, where they begin and where they end."""
    now: float


def line(values: Sequence[tuple[float, float | None]], span: float, gap: float) -> Line | None:
    """Percentages as a line; each comes with how many seconds ago it was known. None for none.

    The width is `span` seconds; values more than `gap` seconds apart are not joined.
    """
    pieces: list[list[tuple[float, float]]] = []
    before: float | None = None
    now: float | None = None
    for ago, value in values:
        if value is None:
            before = None
            continue
        if before is None or before - ago > gap:
            pieces.append([])
        x = 100 * (1 - min(ago, span) / span)
        pieces[-1].append((x, HEIGHT - (HEIGHT - 2) * min(value, 100.0) / 100))
        before, now = ago, value
    if now is None:
        return None
    return Line(
        tuple(
            (
                " ".join(f"{x:.2f},{y:.1f}" for x, y in piece),
                f"{piece[0][0]:.2f}",
                f"{piece[-1][0]:.2f}",
            )
            for piece in pieces
        ),
        now,
    )


def shares(parts: Iterable[tuple[str, float]]) -> list[Part]:
    """Parts of one whole, side by side, with a small gap between them."""
    given = [(kind, value) for kind, value in parts if value > 0]
    whole = sum(value for _, value in given)
    found, x = [], 0.0
    for kind, value in given:
        width = 100 * value / whole
        found.append(Part(kind, round(x, 2), round(max(0.3, width - 0.35), 2)))
        x += width
    return found


def nice(value: float) -> int:
    """The least of 1, 2, 4, 5, 8, 10, 20, … that is not below the value."""
    size = 1
    while True:
        for first in (1, 2, 4, 5, 8):
            if first * size >= value:
                return first * size
        size *= 10


def grouped(values: Sequence[float], size: int) -> list[float]:
    """The mean of each `size` values; the first ones that do not fill a group are left out."""
    first = len(values) % size
    return [sum(values[at : at + size]) / size for at in range(first, len(values), size)]


def minutes_shown(up: float) -> tuple[int, int]:
    """How many minutes a chart shows, and how many make a bar, after `up` seconds of counting."""
    return (60, 1) if up < 3600 else (360, 5) if up > 3 * 3600 else (180, ceil(180 / 60))
