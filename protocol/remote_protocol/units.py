"""Durations and sizes as people write them: `1h30m`, `512MiB`, `1G`. Pure.

Durations are float seconds, sizes are int bytes. `KB MB GB TB` are powers of 1000 (IEC 80000-13);
`KiB MiB GiB TiB`, and `K M G T` alone as Docker, Java and coreutils take them, powers of 1024.
Standard library only: command lines that must start quickly use it; `quantities` has the types of
models.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

MAX_DURATION: Final = 366 * 86400.0
"""Seconds of the longest duration: a leap year."""
MAX_AGE: Final = 3660 * 86400.0
"""Seconds of the longest time for which anything is kept that is kept by the year: ten of them."""
MAX_SIZE: Final = 1024**5
"""Bytes of the largest size: a PiB."""
LONGEST_TEXT: Final = 64
"""Characters of a duration or size: Python takes quadratic time for the digits of more."""
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+")
_BYTES: Final = {
    "": 1,
    "b": 1,
    **{f"{unit}b": 1000**power for power, unit in enumerate("kmgt", 1)},
    **{f"{unit}ib": 1024**power for power, unit in enumerate("kmgt", 1)},
    **{f"{unit}i": 1024**power for power, unit in enumerate("kmgt", 1)},
    **{unit: 1024**power for power, unit in enumerate("kmgt", 1)},
}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_NO_DURATION: Final = "is not a duration; write 30s, 10m or 1h30m"
_NO_SIZE: Final = "is not a size; write 512MiB, 10MB or 1G"


def parse_duration(value: object, longest: float = MAX_DURATION) -> float:
    """Seconds of `30s`, `10m`, `1h30m`, `250ms`; a bare number is seconds. ValueError otherwise,
    and for more than `longest`."""
    if isinstance(value, bool) or value is None:
        raise ValueError(f"{value!r} {_NO_DURATION}")
    if isinstance(value, int | float):
        if not value >= 0:  # nor NaN
            raise ValueError("a duration is a finite number of seconds, zero or more")
        return _duration(value, longest)
    text = str(value).strip().lower()
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{text[:20] + '…'!r} {_NO_DURATION}")
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return _duration(float(text), longest)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{value!r} {_NO_DURATION}")
    parts = _DURATION_PART.findall(text)
    return _duration(sum(float(number) * _SECONDS[unit] for number, unit in parts), longest)


def _duration(seconds: float, longest: float) -> float:
    # Compared before it is converted: an int may be larger than any float.
    if seconds > longest:
        raise ValueError(f"a duration is at most {format_duration(longest)}")
    return float(seconds)


def format_duration(seconds: float) -> str:
    """Seconds as a person reads them: `250ms`, `4.2s`, `1h30m`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    rest, parts = round(seconds), []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])


def parse_size(value: object) -> int:
    """Bytes of `512MiB`, `10MB`, `1G`; a bare number is bytes. ValueError otherwise, and for more
    than MAX_SIZE."""
    if isinstance(value, bool) or value is None:
        raise ValueError(f"{value!r} {_NO_SIZE}")
    if isinstance(value, int | float):
        if not value >= 0 or (value <= MAX_SIZE and value != int(value)):
            raise ValueError("a size is a whole number of bytes, zero or more")
        return _size(value)
    text = str(value).strip()
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"{text[:20] + '…'!r} {_NO_SIZE}")
    match = _SIZE.fullmatch(text)
    if match is None or match[2].lower() not in _BYTES:
        raise ValueError(f"{value!r} {_NO_SIZE}")
    return _size(float(match[1]) * _BYTES[match[2].lower()])


def _size(number: float) -> int:
    if number > MAX_SIZE:
        raise ValueError(f"a size is at most {plain_size(MAX_SIZE)}")
    return int(number)


def format_size(size: int) -> str:
    """Bytes as a person reads them, in binary units: `17 B`, `1.5 MiB`."""
    number = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


def plain_size(size: int) -> str:
    """A round number of bytes without decimals, for bounds: `1 MiB`, `128 KiB`."""
    return format_size(size).replace(".0 ", " ")


def at_least(least: int) -> Callable[[object], int]:
    """A parser of sizes that says its lower bound in units."""

    def parse(value: object) -> int:
        if type(value) is int and least <= value <= MAX_SIZE:
            return value  # as it is in every job that was read before
        size = parse_size(value)
        if size < least:
            raise ValueError(f"give at least {plain_size(least)}")
        return size

    return parse
