"""In which order the tests of several workers run: what takes long first. Pure.

A worker that is done takes tests from the end of another one's list (xdist's `worksteal`). When
the last tests are long, the other workers wait for them at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

LONG = ("tests/e2e/", "tests/sim/", "tests/fuzz/", "tests/benchmarks/", "tests/examples/")
"""Folders whose tests start programs and take seconds each."""


def long_first(files: Sequence[str], workers: int) -> list[int]:
    """Positions of tests, in an order of which each worker gets an equal part: it begins with whole
    files that take long. `files`: of each test, the file that it is in."""
    if workers < 2:
        return list(range(len(files)))
    long: list[list[int]] = [[] for _ in range(workers)]
    rest: list[int] = []
    for file, group in groupby(range(len(files)), key=lambda index: files[index]):
        if file.startswith(LONG):
            min(long, key=len).extend(group)
        else:
            rest.extend(group)
    ordered: list[int] = []
    for number, first in enumerate(long):
        # As xdist divides them: what is left, by the number of workers that are left.
        share = (len(files) - len(ordered)) // (workers - number)
        taken = max(0, share - len(first))
        ordered += [*first, *rest[:taken]]
        rest = rest[taken:]
    return [*ordered, *rest]
