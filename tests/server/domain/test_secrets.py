"""Who may read a secret, and the words when not."""

from __future__ import annotations

from remote_server.domain.secrets import (
    Granted,
    Scope,
    not_for,
    packed_size,
    too_large,
    unknown,
    unreadable,
)


def test_a_scope_covers_its_queues() -> None:
    assert Scope().covers("default") and not Scope().covers("berlin")
    assert Scope((), True).covers("anything") and not Scope(()).covers("default")
    assert [Scope().words, Scope(("a", "b")).words, Scope((), True).words, Scope(()).words] == [
        "default",
        "a, b",
        "all queues",
        "no queue",
    ]
    assert Scope(tuple("abcdefg")).words == "a, b, c, d, e, …"


def test_what_is_withheld_says_why_and_the_cure() -> None:
    assert "remotectl secret set A" in unknown("A")
    assert "remotectl secret show A" in not_for("A", "x")
    assert "remotectl secret show A" in unreadable("A")
    assert "1048576 bytes" in too_large("A")


def test_what_is_granted_does_not_show() -> None:
    assert "value" not in repr(Granted({"A": "value"}, {}))


def test_the_size_is_that_of_the_shims_json() -> None:
    assert packed_size("A", "ä") == len('{"A":"\\u00e4"}')
