"""The matcher finds what a search for each pattern finds, in any bytes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from remote_agent.shim.filters.encodings import SHORTEST
from remote_agent.shim.filters.matcher import _ENOUGH, Matcher, Span

# Few different bytes, so that patterns overlap, repeat and contain each other; and the bytes of
# surrogates (0xD8 to 0xDF), which are no characters of UTF-16 by themselves.
BYTES = st.sampled_from([*b"ab", 0x00, 0xD8, 0xDC, 0xC8, 0xFF]).map(lambda byte: bytes([byte]))
TEXTS = st.lists(BYTES, max_size=60).map(b"".join)
PATTERNS = st.lists(
    st.lists(BYTES, min_size=SHORTEST, max_size=12).map(b"".join), min_size=1, max_size=6
)

GROUPED = st.integers(0, 6)


def made(*patterns: bytes, grouped: int = 0) -> Matcher:
    """One that has searched much for the first `grouped` patterns, and nothing for the others."""
    matcher = Matcher()
    matcher.add(patterns[:grouped])
    assert matcher.spans(b"." * _ENOUGH) == []
    matcher.add(patterns[grouped:])
    return matcher


def places(patterns: list[bytes], data: bytes) -> set[int]:
    """The bytes that any of the patterns covers, by looking at each place."""
    return {
        at
        for pattern in patterns
        for start in range(len(data))
        if data.startswith(pattern, start)
        for at in range(start, start + len(pattern))
    }


def covered(spans: list[Span]) -> set[int]:
    return {at for start, end in spans for at in range(start, end)}


@given(PATTERNS, TEXTS, GROUPED, st.data())
@example([b"aaaa"], b"aaaaaaa", 0, None)
@example([b"aaaa"], b"aaaaaaa", 1, None)
@settings(max_examples=500)
def test_it_finds_every_place(
    patterns: list[bytes], text: bytes, grouped: int, data: st.DataObject
) -> None:
    if data is not None:
        for pattern in data.draw(st.lists(st.sampled_from(patterns), max_size=4)):
            at = data.draw(st.integers(0, len(text)))
            text = text[:at] + pattern + text[at:]
    spans = made(*patterns, grouped=grouped).spans(text)
    assert covered(spans) == places(patterns, text)
    assert spans == sorted(spans)
    assert all(end < start for (_, end), (start, _) in pairwise(spans)), "apart from each other"


@given(PATTERNS, TEXTS, GROUPED)
@settings(max_examples=500)
def test_an_open_end_is_the_longest_that_begins_a_pattern(
    patterns: list[bytes], text: bytes, grouped: int
) -> None:
    begun = [
        at
        for at in range(len(text))
        if any(p.startswith(text[at:]) and len(p) > len(text) - at for p in patterns)
    ]
    assert made(*patterns, grouped=grouped).open_from(text) == min(begun, default=len(text))


@pytest.mark.parametrize("grouped", [0, 1])
def test_patterns_can_be_added_between_searches(grouped: int) -> None:
    matcher = made(b"hunter22", grouped=grouped)
    assert matcher and not Matcher()
    assert matcher.spans(b"hunter22 swordfish") == [(0, 8)]
    matcher.add([b"swordfish", b"hunter22"])
    assert matcher.spans(b"hunter22 swordfish") == [(0, 8), (9, 18)]
    assert matcher.open_from(b"a sword") == 2
    matcher.add([])
    assert matcher.open_from(b"a word") == 6


def test_patterns_of_all_lengths_are_found_at_even_and_odd_places() -> None:
    for length in range(SHORTEST, 40):
        pattern = bytes(range(0xC0, 0xC0 + length))
        matcher = made(pattern, grouped=1)
        for before in range(5):
            for after in range(3):
                data = b"x" * before + pattern + b"y" * after
                assert matcher.spans(data) == [(before, before + length)]


def test_values_that_begin_alike_are_told_apart() -> None:
    values = [b"ghp_%016d" % number for number in range(300)]
    matcher = made(*values, grouped=300)
    line = b" ".join(values[::-1])
    assert len(matcher.spans(line)) == 300
    assert matcher.spans(b"ghp_9999999999999999 ghp_0000000000000300") == []


def test_however_much_is_searched_the_same_is_found() -> None:
    matcher, line = made(b"hunter22", b"swordfish"), b"hunter22 or swordfish\n"
    for _ in range(_ENOUGH // 1000):
        assert matcher.spans(line) == [(0, 8), (12, 21)]
        assert matcher.open_from(line) == len(line) and matcher.open_from(line + b"hun") == 22
