"""What an agent asks for of a content: a window ahead, again what does not come, nothing twice."""

from __future__ import annotations

from remote_agent.session.content_fetch import MOST_ROUNDS, UNANSWERED, WINDOW, ContentFetch
from remote_protocol.contents import ContentRef
from remote_protocol.limits import MAX_CONTENT_PART

PART = MAX_CONTENT_PART


def fetch(size: int = 10 * PART, have: int = 0) -> ContentFetch:
    return ContentFetch(ContentRef("0" * 64, size), have, 0.0)


def test_a_window_ahead() -> None:
    one = fetch(10 * PART + 5)
    assert one.requests(0.0) == [(n * PART, PART) for n in range(WINDOW // PART)]
    assert one.requests(0.0) == []
    assert one.received(0, PART, 1.0) == 0
    assert one.requests(1.0) == [(WINDOW, PART)]
    assert not one.complete


def test_a_small_one_and_one_that_was_begun() -> None:
    assert fetch(7).requests(0.0) == [(0, 7)]
    assert fetch(PART + 7, have=PART + 2).requests(0.0) == [(PART + 2, 5)]
    assert fetch(0).complete and fetch(0).requests(0.0) == []


def test_pieces_that_are_here_or_do_not_fit() -> None:
    one = fetch(100)
    assert one.received(10, 5, 0.0) is None
    assert one.received(0, 10, 0.0) == 0
    assert one.received(0, 10, 0.0) is None
    assert one.received(5, 10, 0.0) == 5 and one.have == 15
    assert one.received(15, 100, 0.0) is None
    assert one.received(15, 85, 0.0) == 0 and one.complete


def test_what_does_not_come_is_asked_for_again() -> None:
    one = fetch(PART)
    one.requests(0.0)
    one.received(0, 10, 5.0)
    assert one.requests(5.0 + UNANSWERED) == []
    assert one.requests(5.1 + UNANSWERED) == [(10, PART - 10)]
    one.again()
    assert one.requests(6.0 + UNANSWERED) == [(10, PART - 10)]


def test_another_content_is_fetched_some_times() -> None:
    one = fetch(10)
    for _ in range(MOST_ROUNDS - 1):
        one.received(0, 10, 0.0)
        assert one.wrong() and one.have == 0
        assert one.requests(0.0) == [(0, 10)]
    assert not one.wrong()
