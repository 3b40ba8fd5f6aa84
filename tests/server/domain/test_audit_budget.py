"""What others cause is told once, and then counted."""

from __future__ import annotations

from remote_server.domain.audit import Entry
from remote_server.domain.audit_budget import WINDOW, AuditBudget
from remote_server.domain.model import Principal


def refused(address: str) -> Entry:
    by = Principal("", "", address, "unknown")
    return Entry(by, "session.sign_in", "session", "", {}, "invalid_token")


def test_the_first_is_told_at_once_and_the_rest_as_a_number() -> None:
    budget = AuditBudget(10)
    entry = refused("192.0.2.1")
    assert [budget.admit("a", entry, now) for now in range(413)][:1] == [True]
    assert budget.due(WINDOW - 1) == []
    (told,) = budget.due(WINDOW)
    assert told == entry._replace(repeated=412)
    assert budget.due(10 * WINDOW) == []


def test_what_stops_is_told_again_when_it_comes_back() -> None:
    budget = AuditBudget(10)
    entry = refused("192.0.2.1")
    assert budget.admit("a", entry, 0)
    assert budget.admit("a", entry, WINDOW)
    assert not budget.admit("a", entry, WINDOW + 1)
    # Its count is told before another window begins, even if nobody looks in between.
    assert not budget.admit("a", entry, 5 * WINDOW)
    assert [told.repeated for told in budget.due(5 * WINDOW)] == [2]
    assert budget.admit("a", entry, 5 * WINDOW)


def test_kinds_do_not_hide_each_other() -> None:
    budget = AuditBudget(10)
    for _ in range(1000):
        budget.admit("a", refused("192.0.2.1"), 1)
    assert budget.admit("b", refused("192.0.2.2"), 1)


def test_more_kinds_than_there_is_room_for_are_one() -> None:
    budget = AuditBudget(5)
    taken = sum(budget.admit(n, refused(f"192.0.2.{n}"), 0) for n in range(1000))
    assert taken == 5
    (told,) = budget.due(WINDOW)
    assert (told.action, told.repeated, told.result) == ("audit.excess", 995, "invalid_token")
    assert (told.by.name, told.by.address) == ("several", "")
    # However long it goes on, it is two entries for each kind and minute at the most.
    written = 0
    for second in range(600):
        now = WINDOW + second
        written += sum(budget.admit(n, refused("::1"), now) for n in range(200))
        written += len(budget.due(now))
    assert written <= 2 * 6 * 11


def test_what_was_lost_elsewhere_counts_with_its_number() -> None:
    budget = AuditBudget(5)
    budget.count(refused("192.0.2.1")._replace(repeated=41), 0)
    budget.count(refused("192.0.2.1"), 0)
    assert [told.repeated for told in budget.due(WINDOW)] == [42]
