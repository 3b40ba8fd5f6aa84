"""What each feature costs a job, off and on in turn: a job that does not use it, and one that does.

Usage: python -m benchmarks.features [--rounds 3] [--jobs 200] [--before FOLDER] [--postgresql]

One feature after another: a burst of jobs without it, one with it, in the next round the other way
round, on a pair of server and agent that runs all the time. What takes a setting has a pair of its
own. The first two rows turn nothing on: they say how far chance goes. With --before each burst is
done by another checkout, too (`benchmarks.pair`), and a second table compares the two. The audit is
in all of it: it cannot be switched off. What containers cost is not measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Final

from benchmarks.checkout import Checkout, running
from benchmarks.feature_list import FEATURES, PLAIN, Feature, prepare, settings
from benchmarks.visitors import Visitors, visitors

Figures = dict[str, float]
ALL: Final = "all"
RATE: Final = "jobs a second"
NOW: Final = "now"
BEFORE: Final = "before"
_PART: Final = "CPU a job, {}, ms"
_WARMING: Final = 32
_HERE: Final = Path(__file__).resolve().parent.parent
Found = dict[tuple[str, str, bool], list[Figures]]
"""Figures of the rounds by version, feature, and whether it was on."""


def total(figures: Mapping[str, float]) -> Figures:
    """The figures of a burst by short names, with the CPU of all processes."""
    start, end = _PART.split("{}")
    parts = {
        name.removeprefix(start).removesuffix(end): value
        for name, value in figures.items()
        if name.startswith(start)
    }
    return {**parts, ALL: sum(parts.values()), RATE: figures[RATE]}


def order(number: int, versions: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Whose turn it is, and whether the feature is on: every other time the other way round."""
    turns = [(version, on) for on in (False, True) for version in versions]
    yield from turns if number % 2 == 0 else reversed(turns)


def ratio(some: Sequence[Figures], others: Sequence[Figures], name: str) -> str:
    """The median of the rounds' ratios, with the lowest and the highest."""
    found = [one[name] / other[name] for one, other in zip(some, others, strict=True)]
    return f"{statistics.median(found):.2f} ({min(found):.2f}–{max(found):.2f})"


def rows(some: Found, others: Found, keys: Sequence[tuple[object, object, str]]) -> Iterator[str]:
    """A row of ratios for each name: of the figures under the first key to those under the
    second."""
    for one, other, what in keys:
        mine, theirs = some[one], others[other]  # type: ignore[index]
        cells = [ratio(mine, theirs, name) for name in mine[0]]
        yield f"| {what} | {' | '.join(cells)} |"


def measure(options: argparse.Namespace, features: Sequence[Feature]) -> tuple[Found, list[float]]:
    """The figures of all bursts, and the loads of the machine."""
    trees = {NOW: _HERE}
    if options.before is not None:
        trees = {BEFORE: options.before.resolve(), NOW: _HERE}
    found: Found = {}
    loads: list[float] = []
    with ExitStack() as stack:
        guests = stack.enter_context(visitors())
        pairs: dict[tuple[str, str], Checkout] = {}
        for version, tree in trees.items():
            for pair in dict.fromkeys([PLAIN, *(one.pair for one in features)]):
                given = settings(pair, guests.places)
                checkout = stack.enter_context(running(tree, given, options.postgresql))
                prepare(checkout)
                pairs[version, pair] = checkout
        # What is imported by the first job that needs it, is by now.
        for version in trees:
            for feature in features:
                checkout = pairs[version, feature.pair]
                burst(checkout, guests, feature, True, min(options.jobs, _WARMING))
        for number in range(options.rounds):
            for index, feature in enumerate(features):
                for version, on in order(number + index, list(trees)):
                    loads.append(os.getloadavg()[0])
                    checkout = pairs[version, feature.pair if on else PLAIN]
                    figures = burst(checkout, guests, feature, on, options.jobs)
                    found.setdefault((version, feature.what, on), []).append(figures)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    return found, loads


def burst(checkout: Checkout, guests: Visitors, feature: Feature, on: bool, jobs: int) -> Figures:
    """The figures of some jobs, with the feature or without it."""
    with feature.turned_on(checkout, guests) if on else nullcontext():
        job = feature.job if on else feature.without
        return total(checkout.jobs(jobs, job, guests.quiet if on and feature.told else _done))


def _done() -> None:
    """Nothing follows the end of a job."""


def tables(found: Found, features: Sequence[Feature]) -> Iterator[str]:
    """What is printed, line by line."""
    names = list(found[NOW, features[0].what, False][0])
    head = "".join(f" {name} |" for name in names)
    line = "|---" * (len(names) + 1) + "|"
    plain = found[NOW, features[0].what, False]
    base = (f"{name} {statistics.median(one[name] for one in plain):.3g}" for name in names)
    yield f"A job of nothing with nothing on, CPU in ms: {'; '.join(base)}"
    for used, title in ((False, "a job that does not use it"), (True, "a job that uses it")):
        chosen = [one.what for one in features if one.used is used]
        if chosen:
            yield f"\n### With ÷ without: {title}\n"
            yield f"| what is on |{head}\n{line}"
            yield from rows(found, found, [((NOW, w, True), (NOW, w, False), w) for w in chosen])
    if any(version == BEFORE for version, _, _ in found):
        yield f"\n### Now ÷ before, with it\n\n| what is on |{head}\n{line}"
        keys = [((NOW, f.what, True), (BEFORE, f.what, True), f.what) for f in features]
        yield from rows(found, found, keys)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--before", type=Path, help="a checkout of another version")
    parser.add_argument("--postgresql", action="store_true", help="servers work on PostgreSQL")
    parser.add_argument("--only", default="", help="features with this word in their names")
    options = parser.parse_args()
    # The first is the one that turns nothing on.
    features = [one for one in FEATURES if options.only in one.what or one is FEATURES[0]]
    found, loads = measure(options, features)
    database = "PostgreSQL" if options.postgresql else "SQLite"
    print(
        f"\n## What a feature costs a job, {options.rounds} rounds of {options.jobs} jobs, "
        f"{database}; load of the machine {min(loads):.1f}–{max(loads):.1f}\n"
    )
    print("\n".join(tables(found, features)))


if __name__ == "__main__":
    main()
