"""Lets hypothesis generate cases, play them, and make what fails as small as it can."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky

T = TypeVar("T")


class Found(AssertionError, Generic[T]):
    """A case after which something did not hold; the smallest one that was found."""

    def __init__(self, case: T, first: T, seed: int, error: BaseException) -> None:
        self.case = case
        self.first = first
        super().__init__(
            f"seed {seed}: {error}\nsmallest: {case!r}\nfirst:    {first!r}"
            + ("\nwith the smallest it fails only sometimes" if isinstance(error, Flaky) else "")
        )


def explore(
    cases: hypothesis.strategies.SearchStrategy[T],
    play: Callable[[T], None],
    *,
    seed: int,
    count: int,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Play `count` cases, fewer when `stop` says so; how many were played. Found on a failure.

    The same seed generates the same cases.
    """
    failing: list[tuple[T, BaseException]] = []
    played = 0

    @hypothesis.seed(seed)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=False,
        report_multiple_bugs=False,
    )
    @hypothesis.given(cases)
    def run(case: T) -> None:
        nonlocal played
        if stop():
            return
        played += 1
        try:
            play(case)
        except Exception as error:
            failing.append((case, error))
            raise

    try:
        run()
    except Exception as error:
        if not failing:
            raise
        case, last = failing[-1]
        raise Found(
            case, failing[0][0], seed, error if isinstance(error, Flaky) else last
        ) from last
    return played
