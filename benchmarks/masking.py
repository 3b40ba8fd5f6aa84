"""The masking of secrets: MB/s of the filter, and what it costs the path from a job's pipe to disk.

Usage: python -m benchmarks.masking [--megabytes 64] [--rounds 5] [--secrets 20]

Each kind of output comes in reads as large as the shim's. It is put into a spool without and with
the filter, in turn; beside that stand the filter alone and a plain `re` alternation of the same
strings. All of it in processor time, in which other programs of the machine count less.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import statistics
import string
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.bed import table
from remote_agent.processes import Folder
from remote_agent.shim.filters import Filters
from remote_agent.shim.filters.encodings import forms
from remote_agent.shim.filters.masking import MaskFilters
from remote_agent.shim.order import Order
from remote_agent.shim.output import Output
from remote_agent.shim.reader import READ
from remote_protocol.cri import STDOUT

LENGTHS: Final = (8, 16, 24, 40)
_WORDS: Final = (
    *("starting", "worker", "connection", "from", "request", "completed", "in", "ms", "GET"),
    *("/api/v1/jobs", "status=200", "user", "id", "queue", "default", "INFO", "DEBUG", "retry"),
    *("timeout", "cache", "miss", "took", "rows", "returned", "for", "tenant"),
)


def log_lines(size: int, chance: random.Random) -> bytes:
    """Lines of 80 bytes, as services write them."""
    lines = []
    for _ in range(size // 80 + 1):
        line = f"2026-11-27T12:{chance.randrange(60):02}:{chance.randrange(60):02}.000Z "
        while len(line) < 79:
            line += chance.choice(_WORDS) + " "
        lines.append(line[:79] + "\n")
    return "".join(lines).encode()[:size]


def json_lines(size: int, chance: random.Random) -> bytes:
    """Structured logs, with numbers and hexadecimal ids."""
    lines: list[str] = []
    while len(lines) * 150 < size:
        fields = {"ts": chance.random() * 1e9, "level": "info", "id": chance.randbytes(8).hex()}
        fields |= {"msg": "request completed", "path": f"/api/v1/jobs/{chance.randrange(10**6)}"}
        fields |= {"tags": ["a", "b"], "ok": True, "took_ms": chance.randrange(1000)}
        lines.append(json.dumps(fields) + "\n")
    return "".join(lines).encode()[:size]


def random_bytes(size: int, chance: random.Random) -> bytes:
    """No text at all."""
    return chance.randbytes(size)


def base64_lines(size: int, chance: random.Random) -> bytes:
    """Base64 in lines of 76."""
    return base64.encodebytes(chance.randbytes(size))[:size]


def values(count: int, length: int, chance: random.Random) -> dict[str, str]:
    """Secrets of letters and digits."""
    letters = string.ascii_letters + string.digits
    return {f"S{n}": "".join(chance.choices(letters, k=length)) for n in range(count)}


def seconds(work: Callable[[], object]) -> float:
    """Processor time that it takes: other programs may be at work here."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def spool(reads: list[bytes], filters: Filters | None, repeat: int) -> None:
    """Put these reads into a spool, as a shim does."""
    order = Order("J.1", ["x"], {}, "/", segment_size=1 << 60)
    with tempfile.TemporaryDirectory() as place, Folder(Path(place)) as folder:
        output = Output(folder, order, filters)
        for _ in range(repeat):
            for read in reads:
                output.take(read, STDOUT)
        output.end()
        output.close()


def made(secrets: dict[str, str]) -> MaskFilters:
    """The filters of an attempt with these secrets."""
    filters = MaskFilters(Order("J.1", ["x"], {}, "/"), secrets)
    filters.open()
    filters.feed(b"warm", STDOUT)
    return filters


def measure(data: bytes, secrets: dict[str, str], repeat: int, rounds: int) -> tuple[str, float]:
    """The figures of one kind of output with these secrets, and the speed of the filter alone."""
    reads = [data[at : at + READ] for at in range(0, len(data), READ)]
    size = len(data) * repeat / 1e6

    def alone() -> None:
        filters = made(secrets)
        for _ in range(repeat):
            for read in reads:
                filters.feed(read, STDOUT)

    patterns = {form for value in secrets.values() for form in forms(value.encode())}
    plain = re.compile(b"|".join(map(re.escape, sorted(patterns, key=len, reverse=True))))
    without, with_filter, only, simple = [], [], [], []
    for _ in range(rounds):
        without.append(seconds(lambda: spool(reads, None, repeat)))
        with_filter.append(seconds(lambda: spool(reads, made(secrets), repeat)))
        only.append(seconds(alone))
        simple.append(seconds(lambda: plain.sub(b"***", reads[0])) * len(data) / len(reads[0]))
    ratio = statistics.median(a / b for a, b in zip(without, with_filter, strict=True))
    speed = size / statistics.median(only)
    regex = len(data) / 1e6 / statistics.median(simple)
    return (
        f"filter alone {speed:.0f} MB/s; to the spool {size / statistics.median(without):.0f} → "
        f"{size / statistics.median(with_filter):.0f} MB/s ({ratio:.2f}); plain `re` "
        f"{regex:.0f} MB/s",
        speed,
    )


def main() -> None:
    """Measure all kinds of output with secrets of all lengths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secrets", type=int, default=20)
    given = parser.parse_args()
    chance = random.Random(7)
    repeat = max(1, given.megabytes // 4)
    rows = []
    for make in (log_lines, json_lines, base64_lines, random_bytes):
        data = make(4 << 20, chance)
        for length in LENGTHS:
            figures, speed = measure(
                data, values(given.secrets, length, chance), repeat, given.rounds
            )
            rows.append(
                (
                    f"{make.__name__}, {given.secrets} secrets of {length}",
                    figures,
                    "≥ 200 MB/s" if speed >= 200 else "≥ 200 MB/s: missed",
                )
            )
    table(f"Masking, {given.rounds} rounds of {repeat * 4} MiB", rows)


if __name__ == "__main__":
    main()
