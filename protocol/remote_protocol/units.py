"""Durations and sizes as people write them: `1h30m`, `512MiB`. Pure.

Durations are float seconds, sizes are int bytes. `KB MB GB TB` are powers of 1000 and
`KiB MiB GiB TiB` powers of 1024 (IEC 80000-13).
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+")
_BYTES: Final = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "tb": 1000**4,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
    "tib": 1024**4,
}
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


def parse_duration(value: object) -> float:
    """Seconds of `30s`, `10m`, `1h30m`, `250ms`; a bare number is seconds. ValueError otherwise."""
    if isinstance(value, bool) or value is None:
        raise ValueError(f"{value!r} is not a duration; write 30s, 10m or 1h30m")
    if isinstance(value, int | float):
        if value < 0 or value != value or value == float("inf"):
            raise ValueError("a duration is a finite number of seconds, zero or more")
        return float(value)
    text = str(value).strip().lower()
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{value!r} is not a duration; write 30s, 10m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


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
    """Bytes of `512MiB`, `10MB`, `1GiB`; a bare number is bytes. ValueError otherwise."""
    if isinstance(value, bool) or value is None:
        raise ValueError(f"{value!r} is not a size; write 512MiB or 10MB")
    if isinstance(value, int | float):
        if value < 0 or value != int(value):
            raise ValueError("a size is a whole number of bytes, zero or more")
        return int(value)
    match = _SIZE.fullmatch(str(value).strip())
    if match is None or match[2].lower() not in _BYTES:
        raise ValueError(f"{value!r} is not a size; write 512MiB or 10MB")
    return int(float(match[1]) * _BYTES[match[2].lower()])


def format_size(size: int) -> str:
    """Bytes as a person reads them, in binary units: `17 B`, `1.5 MiB`."""
    number = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.1f} TiB"


Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0, le=366 * 86400)]
"""Seconds; parsed from a number or from text like `1h30m`."""
Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0, le=1024**5)]
"""Bytes; parsed from a number or from text like `512MiB`."""
