"""What people want, on both sides, and what the agent does about it."""

from __future__ import annotations

import stat

import pytest

from remote_agent.wishes import FILE, LocalWishes, WishBook
from remote_protocol.messages import Wishes


def test_without_wishes_the_agent_takes_jobs(tmp_path):
    condition = WishBook(tmp_path).condition()
    assert condition.accepting and not condition.reason and not condition.draining


def test_a_local_pause_survives_a_restart_with_its_comment(tmp_path):
    WishBook(tmp_path).say(LocalWishes(paused=True, comment="changing the disk"))
    condition = WishBook(tmp_path).condition()
    assert not condition.accepting
    assert condition.reason == "paused on the host: changing the disk"
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_resuming_here_does_not_overrule_the_server(tmp_path):
    book = WishBook(tmp_path)
    book.say(LocalWishes(paused=True))
    book.server = Wishes(paused=True, comment="holidays")
    book.say(LocalWishes())
    assert book.condition().reason == "paused: holidays"
    book.server = Wishes()
    assert book.condition().accepting


def test_a_drain_survives_a_kill_and_ends_when_it_came_true(tmp_path):
    WishBook(tmp_path).say(LocalWishes(draining=True, drain_deadline=60.0))
    book = WishBook(tmp_path)
    assert book.draining and book.deadline == 60.0 and book.condition().draining
    book.came_true()
    assert not WishBook(tmp_path).draining


@pytest.mark.parametrize(
    ("local", "server", "wanted"), [(60.0, 5.0, 5.0), (None, 5.0, 5.0), (None, None, None)]
)
def test_the_shorter_deadline_holds(tmp_path, local, server, wanted):
    book = WishBook(tmp_path)
    book.say(LocalWishes(draining=True, drain_deadline=local))
    book.server = Wishes(draining=True, drain_deadline=server)
    assert book.deadline == wanted


def test_the_deadline_of_a_drain_that_does_not_hold_is_none(tmp_path):
    book = WishBook(tmp_path)
    book.server = Wishes(draining=False, drain_deadline=5.0)
    assert book.deadline is None and not book.draining


def test_reasons_have_an_order(tmp_path):
    book = WishBook(tmp_path)
    book.hindrance = "disk below its reserve"
    assert book.condition().reason == "disk below its reserve"
    book.server = Wishes(draining=True)
    assert book.condition().reason == "draining, as asked for by the server"
    book.stopping = True
    assert book.condition().reason == "the agent is stopping"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"drain_deadline": "soon"}'])
def test_damaged_wishes_pause_the_agent_until_resume(tmp_path, damage):
    (tmp_path / FILE).write_bytes(damage)
    book = WishBook(tmp_path)
    assert book.local.paused and "damaged" in book.local.comment
    book.say(LocalWishes())
    assert WishBook(tmp_path).condition().accepting
