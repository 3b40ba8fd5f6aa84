"""This checkout beside another one, both running at the same time, measured in turn.

Usage: python -m benchmarks.pair --before FOLDER [--rounds 6] [--jobs 300] [--megabytes 50]
       [--postgresql]

FOLDER is a checkout of another version in which `make setup` was run, for example one made by
`git worktree add FOLDER COMMIT`. In each round each checkout gets a burst of every kind, first the
one, then the other, then the other way round, so that a busy moment meets both. What counts is the
ratio: the median of those of all rounds. CPU tells more than time where the machine has other work.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.checkout import Checkout, running

BEFORE: Final = "before"
NOW: Final = "now"
_HERE: Final = Path(__file__).resolve().parent.parent
Figures = dict[str, float]


def turns(names: Sequence[str], rounds: int) -> Iterator[tuple[int, str]]:
    """Whose turn it is: all of them in each round, every other round in reverse."""
    for number in range(rounds):
        for name in names if number % 2 == 0 else list(reversed(names)):
            yield number, name


def compared(before: Sequence[Figures], now: Sequence[Figures]) -> list[tuple[str, ...]]:
    """A row for each figure that both have: its name, both medians with the best values, and the
    median of the rounds' ratios with the middle half of them."""
    rows: list[tuple[str, ...]] = []
    for name in (name for name in before[0] if name in now[0]):
        old, new = ([figures[name] for figures in rounds] for rounds in (before, now))
        ratios = [after / first for first, after in zip(old, new, strict=True)]
        low, high = quartiles(ratios)
        ratio = f"{statistics.median(ratios):.3f} ({low:.2f}–{high:.2f})"
        best = max if higher_is_better(name) else min
        rows.append((name, shown(old, best), shown(new, best), ratio))
    return rows


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The borders of the middle half."""
    if len(values) < 2:
        return values[0], values[0]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return first, third


def higher_is_better(name: str) -> bool:
    """Whether a figure is a rate."""
    return name.endswith("a second")


def shown(values: Sequence[float], best: Callable[[Sequence[float]], float]) -> str:
    """The median and the best of some values."""
    return f"{statistics.median(values):.3g} ({best(values):.3g})"


def burst(checkout: Checkout, options: argparse.Namespace, sources: Mapping[str, Path]) -> Figures:
    """One of every kind."""
    found = checkout.jobs(options.jobs)
    found |= checkout.latency(options.latency)
    found |= checkout.requests(options.requests)
    for kind, source in sources.items():
        found |= checkout.output(source, kind)
    return found


def files(folder: Path, megabytes: int) -> dict[str, Path]:
    """What the jobs print: lines and noise."""
    lines, noise = folder / "lines", folder / "noise"
    with lines.open("wb") as line_file, noise.open("wb") as noise_file:
        for _ in range(megabytes):
            line_file.write((b"x" * 79 + b"\n") * 12_500)
            noise_file.write(os.urandom(1_000_000))
    return {"80-byte lines": lines, "random bytes": noise}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--latency", type=int, default=20)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--megabytes", type=int, default=50)
    parser.add_argument("--postgresql", action="store_true", help="servers work on PostgreSQL")
    options = parser.parse_args()
    load, on = [], options.postgresql
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="remote-bench-")))
        sources = files(folder, options.megabytes) if options.megabytes else {}
        checkouts = {
            BEFORE: stack.enter_context(running(options.before.resolve(), None, on)),
            NOW: stack.enter_context(running(_HERE, None, on)),
        }
        for checkout in checkouts.values():
            checkout.jobs(options.jobs // 2)
        found: dict[str, list[Figures]] = {BEFORE: [], NOW: []}
        for number, name in turns([BEFORE, NOW], options.rounds):
            load.append(os.getloadavg()[0])
            found[name].append(burst(checkouts[name], options, sources))
            print(f"round {number + 1} of {options.rounds}: {name}", file=sys.stderr, flush=True)
    print(
        f"\n## Before and now, {options.rounds} rounds of {options.jobs} jobs; load of the machine "
        f"{min(load):.1f}–{max(load):.1f}\n"
    )
    print("| what: median (best) | before | now | now ÷ before (middle half) |\n|---|---|---|---|")
    for row in compared(found[BEFORE], found[NOW]):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main()
