"""What people want, on both sides, and what the agent does about it."""

from __future__ import annotations

import stat
from dataclasses import replace

import pytest

from remote_agent.local.desired_state import FILE, LocalWishes, Moment, WishBook
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
    assert book.draining and book.condition().draining
    book.came_true()
    assert not WishBook(tmp_path).draining


DRAIN = LocalWishes(draining=True, drain_deadline=60.0)


class Clocks:
    """The clocks of a host, moved by hand."""

    def __init__(self) -> None:
        self.moment = Moment(100.0, 5000.0, "first")

    def __call__(self) -> Moment:
        return self.moment

    def pass_by(self, boot: float, wall: float) -> None:
        now = self.moment
        self.moment = now._replace(boot=now.boot + boot, wall=now.wall + wall)

    def restart(self, wall: float) -> None:
        self.moment = Moment(7.0, self.moment.wall + wall, "second")


@pytest.fixture
def clocks():
    return Clocks()


def test_a_restart_of_the_agent_grants_no_more_time(tmp_path, clocks):
    WishBook(tmp_path, clocks).say(DRAIN)
    # The wall clock is set meanwhile: that changes nothing.
    clocks.pass_by(boot=50, wall=-3000)
    book = WishBook(tmp_path, clocks)
    assert book.local_end == 160.0
    clocks.pass_by(boot=500, wall=500)
    assert WishBook(tmp_path, clocks).local_end == 160.0


@pytest.mark.parametrize(("away", "left"), [(20.0, 40.0), (600.0, 0.0), (-600.0, 60.0)])
def test_a_restart_of_the_host_grants_no_more_time(tmp_path, clocks, away, left):
    WishBook(tmp_path, clocks).say(DRAIN)
    clocks.restart(wall=away)
    assert WishBook(tmp_path, clocks).local_end == 7.0 + left


def test_other_wishes_grant_no_more_time_and_another_deadline_does(tmp_path, clocks):
    book = WishBook(tmp_path, clocks)
    book.say(DRAIN)
    clocks.pass_by(boot=50, wall=50)
    book.say(replace(DRAIN, paused=True))
    assert book.local_end == WishBook(tmp_path, clocks).local_end == 160.0
    book.say(replace(DRAIN, drain_deadline=70.0))
    assert book.local_end == WishBook(tmp_path, clocks).local_end == 220.0


def test_wishes_of_an_earlier_version_count_from_the_start(tmp_path, clocks):
    (tmp_path / FILE).write_text('{"v": 1, "draining": true, "drain_deadline": 60.0}')
    assert WishBook(tmp_path, clocks).local_end == 160.0


def test_a_drain_that_does_not_hold_has_no_deadline(tmp_path, clocks):
    book = WishBook(tmp_path, clocks)
    book.server = Wishes(draining=False, drain_deadline=5.0)
    assert book.server_deadline is None and book.local_end is None and not book.draining
    book.server = Wishes(draining=True, drain_deadline=5.0)
    assert book.server_deadline == 5.0
    book.say(replace(DRAIN, drain_deadline=None))
    assert book.local_end is None


def test_reasons_have_an_order(tmp_path):
    book = WishBook(tmp_path)
    book.hindrance = "disk below its reserve"
    assert book.condition().reason == "disk below its reserve"
    book.server = Wishes(draining=True)
    assert book.condition().reason == "draining, as asked for by the server"
    book.stopping = True
    assert book.condition().reason == "the agent is stopping"


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"drain_deadline": "soon"}', b'{"said": {}}']
)
def test_damaged_wishes_pause_the_agent_until_resume(tmp_path, damage):
    (tmp_path / FILE).write_bytes(damage)
    book = WishBook(tmp_path)
    assert book.local.paused and "damaged" in book.local.comment
    book.say(LocalWishes())
    assert WishBook(tmp_path).condition().accepting
