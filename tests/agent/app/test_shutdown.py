"""When and how the agent leaves, on a clock of the test's own."""

from __future__ import annotations

import pytest

from remote_agent.app.shutdown import HANDSHAKE, SETTLE, Leaving
from remote_agent.local.desired_state import LocalWishes
from remote_agent.session.events import AttemptEnded
from remote_protocol.messages import Phase, Settled, Wishes
from remote_protocol.states import EndReason
from tests.support.fake_server import new_key
from tests.support.organs import SPEC, Body, an_end


@pytest.fixture
def body(tmp_path):
    it = Body(tmp_path)
    it.welcome()
    return it


def leaving(body, on_stop="leave", once=False) -> Leaving:
    it = Leaving(body.host, body.organ.stop, on_stop, once, now=lambda: body.now)
    body.host.on_taken = it.took
    it.look()
    return it


def end(body, key) -> None:
    body.host.handle(AttemptEnded(key, an_end(key)))


def settle(body, key) -> None:
    body.hear(Settled(attempt=key))


def later(body, it, seconds=HANDSHAKE) -> str:
    it.look()
    body.now += seconds
    it.look()
    return it.reason


def test_it_stays_when_nobody_wants_it_to_go(body):
    assert later(body, leaving(body), 3600) == ""


def test_leave_goes_at_once_and_says_what_runs_on(body):
    it = leaving(body)
    assert it.signal()
    assert it.reason == "stopped"
    other = leaving(body)
    body.host.wishes.stopping = False
    body.host.reconsider()
    body.take()
    assert other.signal() and other.reason == "stopped; jobs run on"
    assert not other.signal()


def test_a_drain_waits_for_the_last_settlement_and_the_handshake(body):
    it = leaving(body)
    key = body.take()
    body.host.wishes.server = Wishes(draining=True)
    body.host.reconsider()
    assert later(body, it) == ""
    end(body, key)
    assert later(body, it) == ""
    settle(body, key)
    it.look()
    assert it.reason == "drained"


def test_an_offer_on_its_way_is_given_time_to_be_refused(body):
    it = leaving(body)
    body.host.wishes.server = Wishes(draining=True)
    it.look()
    assert it.reason == ""
    body.now += HANDSHAKE
    it.look()
    assert it.reason == "drained"


def test_a_drain_that_is_taken_back_is_over(body):
    it = leaving(body)
    body.take()
    body.host.wishes.server = Wishes(draining=True, drain_deadline=5.0)
    later(body, it, 3)
    body.host.wishes.server = Wishes()
    assert later(body, it, 60) == ""
    assert not [entry for entry in body.organ.done if entry[0] == "stop"]


def test_drained_before_its_start_it_waits_for_resume(tmp_path):
    body = Body(tmp_path)
    body.welcome(wishes=Wishes(draining=True))
    it = leaving(body)
    assert later(body, it, 3600) == ""


def test_a_local_drain_ends_a_fresh_start_too(tmp_path):
    body = Body(tmp_path)
    body.host.wishes.say(LocalWishes(draining=True))
    assert later(body, leaving(body)) == "drained"


def test_the_deadline_cancels_what_still_runs_once(body):
    it = leaving(body)
    key, over = body.take(), body.take()
    end(body, over)
    body.host.wishes.server = Wishes(draining=True, drain_deadline=10.0)
    later(body, it, 9)
    assert not [entry for entry in body.organ.done if entry[0] == "stop"]
    later(body, it, 2)
    later(body, it, 2)
    stops = [entry for entry in body.organ.done if entry[0] == "stop"]
    assert stops == [("stop", key, EndReason.CANCELLED)]


@pytest.mark.parametrize(("local", "server"), [(10.0, 60.0), (60.0, 10.0), (10.0, None)])
def test_the_shorter_deadline_holds(body, local, server):
    it = leaving(body)
    body.take()
    body.host.wishes.say(LocalWishes(draining=True, drain_deadline=local))
    body.host.wishes.server = Wishes(draining=server is not None, drain_deadline=server)
    later(body, it, 9)
    assert not [entry for entry in body.organ.done if entry[0] == "stop"]
    later(body, it, 2)
    assert [entry for entry in body.organ.done if entry[0] == "stop"]


def test_the_hosts_own_deadline_goes_on_over_a_restart(tmp_path):
    body = Body(tmp_path)
    body.host.wishes.say(LocalWishes(draining=True, drain_deadline=10.0))
    again = Body(tmp_path)
    again.now = body.now + 9
    key = new_key()
    again.host.session.adopt(key, SPEC, Phase.RUNNING, 0)
    it = leaving(again)
    assert not [entry for entry in again.organ.done if entry[0] == "stop"]
    later(again, it, 2)
    assert ("stop", key, EndReason.CANCELLED) in again.organ.done


def test_a_new_deadline_counts_from_when_it_was_said(body):
    it = leaving(body)
    body.take()
    body.host.wishes.server = Wishes(draining=True, drain_deadline=10.0)
    later(body, it, 9)
    body.host.wishes.server = Wishes(draining=True, drain_deadline=20.0)
    later(body, it, 15)
    assert not [entry for entry in body.organ.done if entry[0] == "stop"]
    later(body, it, 6)
    assert [entry for entry in body.organ.done if entry[0] == "stop"]


def test_on_stop_drain_waits_for_its_jobs(body):
    it = leaving(body, "drain")
    key = body.take()
    it.signal()
    assert later(body, it, 600) == ""
    end(body, key)
    settle(body, key)
    assert later(body, it) == "stopped"


def test_on_stop_cancel_ends_jobs_and_waits_a_little_for_the_server(body):
    it = leaving(body, "cancel")
    key = body.take()
    it.signal()
    assert ("stop", key, EndReason.CANCELLED) in body.organ.done
    assert later(body, it, SETTLE + 1) == ""
    end(body, key)
    assert later(body, it, 0) == "stopped"


def test_once_takes_one_job_and_leaves_after_it(body):
    it = leaving(body, once=True)
    assert later(body, it, 30) == ""
    key = body.take()
    assert not body.host.wishes.condition().accepting
    body.take(confirm=False)
    assert list(body.host.session.attempts) == [key]
    end(body, key)
    settle(body, key)
    assert later(body, it) == "its one job is done"


def test_an_orphan_ends_its_jobs_but_waits_for_no_server(body):
    it = leaving(body, "cancel")
    key = body.take()
    assert it.signal(orphaned=True)
    assert later(body, it) == ""
    end(body, key)
    assert later(body, it) == "stopped"
