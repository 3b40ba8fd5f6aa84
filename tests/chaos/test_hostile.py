"""The hostile must be named: whoever did harm, and is in nobody's words, is found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from tests.chaos.hostile import unnamed
from tests.chaos.rogue import Rogue

WORDS = [
    "rogue: it gives back what it is offered: no",
    "an agent sends more than it may: it waits agent=rogue",
    "link broken agent=rogue reason=Message size 5242880 exceeds limit 262208",
    "a log is incomplete agent=rogue attempt=J.1",
    "malformed request address=127.0.0.70",
    "sign-in refused address=127.0.0.71",
]


def judged(lines: list[str], deeds: int = 1_000_000) -> list[str]:
    """What the judge says of these words, about somebody who did everything so often."""
    rogue = SimpleNamespace(most_refused=deeds, most_said=deeds, oversized=deeds, missed=deeds)
    return unnamed(cast(Rogue, rogue), {"malformed": deeds, "guess": deeds}, lines)


def test_whoever_is_named_for_everything_is_accepted() -> None:
    assert judged(WORDS) == []


def test_whoever_did_nothing_need_not_be_named() -> None:
    assert judged([], 0) == []


@pytest.mark.parametrize("number", range(len(WORDS)))
def test_each_deed_needs_words_of_its_own(number: int) -> None:
    left = WORDS[:number] + WORDS[number + 1 :]
    assert len(judged(left)) == 1


def test_words_about_somebody_else_do_not_count() -> None:
    others = [line.replace("rogue", "agent-0").replace("127.0.0.", "10.0.0.") for line in WORDS]
    assert len(judged(others)) == len(WORDS)
