"""When and how the agent exits, on a clock of the test's own."""

from __future__ import annotations

import pytest

from remote_agent.app.shutdown import DELIVERY_TIMEOUT, HANDSHAKE, Lifetime, Shutdown
from remote_agent.local.desired_state import LocalRequest
from remote_agent.sections import AgentPart
from remote_agent.session.attempt import FoundAttempt
from remote_agent.session.events import AttemptEnded
from remote_protocol.messages import DesiredMode, Phase, Settled
from remote_protocol.states import EndReason
from tests.support.driven import SPEC, Driven, an_end
from tests.support.fake_server import new_key


@pytest.fixture
def driven(tmp_path):
    it = Driven(tmp_path)
    it.welcome()
    return it


def leaving(driven, on_stop="leave") -> Shutdown:
    it = driven.shutdown
    it.on_stop = on_stop
    it.check()
    return it


def end(driven, key) -> None:
    driven.driver.handle(AttemptEnded(key, an_end(key)))


def settle(driven, key) -> None:
    driven.hear(Settled(attempt=key))


def later(driven, it, seconds=HANDSHAKE) -> str:
    it.check()
    driven.now += seconds
    it.check()
    return it.reason


def test_it_stays_when_nobody_wants_it_to_go(driven):
    assert later(driven, leaving(driven), 3600) == ""


def test_leave_goes_at_once(driven):
    it = leaving(driven)
    assert it.signal()
    assert it.reason == "stopped"


def test_leave_says_that_jobs_run_on_and_stops_at_once_the_second_time(driven):
    driven.take()
    it = leaving(driven)
    assert it.signal() and it.reason == "stopped; jobs run on"
    assert not it.signal()


def test_a_drain_waits_for_the_last_settlement_and_the_handshake(driven):
    it = leaving(driven)
    key = driven.take()
    driven.desired.server = DesiredMode(draining=True)
    driven.driver.reconsider()
    assert later(driven, it) == ""
    end(driven, key)
    assert later(driven, it) == ""
    settle(driven, key)
    it.check()
    assert it.reason == "drained"


def test_a_restart_is_once_for_each_request(driven):
    it = leaving(driven)
    driven.take()
    driven.desired.server = DesiredMode(restart="another process")
    assert later(driven, it) == "" and not it.restart
    driven.desired.server = DesiredMode(restart=driven.session.process)
    it.check()
    assert it.restart and it.reason == "restarted by the server; jobs run on"


def test_who_is_about_to_exit_does_not_restart(driven):
    driven.take()
    it = leaving(driven, "drain")
    driven.desired.server = DesiredMode(restart=driven.session.process)
    it.signal()
    assert later(driven, it) == "" and not it.restart


def test_an_offer_on_its_way_is_given_time_to_be_refused(driven):
    it = leaving(driven)
    driven.desired.server = DesiredMode(draining=True)
    it.check()
    assert it.reason == ""
    driven.now += HANDSHAKE
    it.check()
    assert it.reason == "drained"


def test_a_drain_that_is_taken_back_is_over(driven):
    it = leaving(driven)
    driven.take()
    driven.desired.server = DesiredMode(draining=True, drain_deadline=5.0)
    later(driven, it, 3)
    driven.desired.server = DesiredMode()
    assert later(driven, it, 60) == ""
    assert not [entry for entry in driven.port.done if entry[0] == "stop"]


def test_drained_before_its_start_it_waits_for_resume(tmp_path):
    driven = Driven(tmp_path)
    driven.welcome(desired=DesiredMode(draining=True))
    it = leaving(driven)
    assert later(driven, it, 3600) == ""


def test_a_local_drain_ends_a_fresh_start_too(tmp_path):
    driven = Driven(tmp_path)
    driven.desired.set_local(LocalRequest(draining=True))
    assert later(driven, leaving(driven)) == "drained"


def test_the_deadline_cancels_what_still_runs_once(driven):
    it = leaving(driven)
    key, over = driven.take(), driven.take()
    end(driven, over)
    driven.desired.server = DesiredMode(draining=True, drain_deadline=10.0)
    later(driven, it, 9)
    assert not [entry for entry in driven.port.done if entry[0] == "stop"]
    later(driven, it, 2)
    later(driven, it, 2)
    stops = [entry for entry in driven.port.done if entry[0] == "stop"]
    assert stops == [("stop", key, EndReason.CANCELLED)]


@pytest.mark.parametrize(("local", "server"), [(10.0, 60.0), (60.0, 10.0), (10.0, None)])
def test_the_shorter_deadline_holds(driven, local, server):
    it = leaving(driven)
    driven.take()
    driven.desired.set_local(LocalRequest(draining=True, drain_deadline=local))
    driven.desired.server = DesiredMode(draining=server is not None, drain_deadline=server)
    later(driven, it, 9)
    assert not [entry for entry in driven.port.done if entry[0] == "stop"]
    later(driven, it, 2)
    assert [entry for entry in driven.port.done if entry[0] == "stop"]


def test_the_hosts_own_deadline_goes_on_over_a_restart(tmp_path):
    driven = Driven(tmp_path)
    driven.desired.set_local(LocalRequest(draining=True, drain_deadline=10.0))
    again = Driven(tmp_path)
    again.now = driven.now + 9
    key = new_key()
    again.session.adopt(FoundAttempt(key, SPEC, Phase.RUNNING, 0))
    it = leaving(again)
    assert not [entry for entry in again.port.done if entry[0] == "stop"]
    later(again, it, 2)
    assert ("stop", key, EndReason.CANCELLED) in again.port.done


def test_a_new_deadline_counts_from_when_it_was_said(driven):
    it = leaving(driven)
    driven.take()
    driven.desired.server = DesiredMode(draining=True, drain_deadline=10.0)
    later(driven, it, 9)
    driven.desired.server = DesiredMode(draining=True, drain_deadline=20.0)
    later(driven, it, 15)
    assert not [entry for entry in driven.port.done if entry[0] == "stop"]
    later(driven, it, 6)
    assert [entry for entry in driven.port.done if entry[0] == "stop"]


def test_on_stop_drain_waits_for_its_jobs(driven):
    it = leaving(driven, "drain")
    key = driven.take()
    it.signal()
    assert later(driven, it, 600) == ""
    end(driven, key)
    settle(driven, key)
    assert later(driven, it) == "stopped"


def test_on_stop_cancel_ends_jobs_and_waits_a_little_for_the_server(driven):
    it = leaving(driven, "cancel")
    key = driven.take()
    it.signal()
    assert ("stop", key, EndReason.CANCELLED) in driven.port.done
    assert later(driven, it, DELIVERY_TIMEOUT + 1) == ""
    end(driven, key)
    assert later(driven, it, 0) == "stopped"


def stops(driven) -> list[tuple[object, ...]]:
    return [entry for entry in driven.port.done if entry[0] == "stop"]


def test_what_outlasts_the_time_to_stop_is_lost(driven):
    it = leaving(driven)
    it.obey(AgentPart(on_stop="drain", stop_timeout=10.0))
    key = driven.take()
    assert later(driven, it, 3600) == "" and not stops(driven)  # nobody has stopped it
    it.signal()
    assert later(driven, it, 9) == "" and not stops(driven)
    later(driven, it, 2)
    assert later(driven, it, 2) == ""
    assert stops(driven) == [("stop", key, EndReason.LOST)]
    end(driven, key)
    assert later(driven, it, DELIVERY_TIMEOUT - 3) == ""  # the server has not answered yet
    assert later(driven, it, 2) == "stopped"


def test_the_deadline_of_a_drain_holds_for_one_that_is_stopped_too(driven):
    it = leaving(driven)
    it.obey(AgentPart(on_stop="drain", stop_timeout=60.0))
    key = driven.take()
    driven.desired.set_local(LocalRequest(draining=True, drain_deadline=10.0))
    it.signal()
    later(driven, it, 11)
    later(driven, it, 60)
    assert stops(driven) == [("stop", key, EndReason.CANCELLED)]


def test_without_a_time_to_stop_a_drain_has_none(driven):
    it = leaving(driven)
    it.obey(AgentPart(on_stop="drain"))
    driven.take()
    it.signal()
    assert later(driven, it, 86400.0) == "" and not stops(driven)


def test_once_takes_one_job_and_leaves_after_it(tmp_path):
    driven = Driven(tmp_path, lifetime=Lifetime(once=True))
    driven.welcome()
    it = leaving(driven)
    assert later(driven, it, 30) == ""
    key = driven.take()
    assert not driven.desired.condition().accepting
    driven.take(confirm=False)
    assert list(driven.session.attempts) == [key]
    end(driven, key)
    settle(driven, key)
    assert later(driven, it) == "its one job is done"


def test_an_orphan_ends_its_jobs_but_waits_for_no_server(driven):
    it = leaving(driven, "cancel")
    key = driven.take()
    assert it.signal(orphaned=True)
    assert later(driven, it) == ""
    end(driven, key)
    assert later(driven, it) == "stopped"


def idle(tmp_path) -> Driven:
    return Driven(tmp_path, lifetime=Lifetime(idle_timeout=8.0))


def test_idle_it_takes_no_more_jobs_and_leaves(tmp_path):
    driven = idle(tmp_path)
    driven.welcome()
    it = leaving(driven)
    assert later(driven, it, 7) == "" and driven.desired.condition().accepting
    driven.now += 1
    it.check()
    driven.driver.reconsider()
    assert it.reason == ""
    driven.take(confirm=False)
    assert not driven.session.attempts, "what was on its way is refused"
    assert later(driven, it) == "no job for 8s"


def test_every_job_starts_the_idle_time_again(tmp_path):
    driven = idle(tmp_path)
    driven.welcome()
    it = leaving(driven)
    later(driven, it, 5)
    key = driven.take()
    assert driven.session.attempts
    assert later(driven, it, 10) == ""
    end(driven, key)
    settle(driven, key)
    assert later(driven, it, 7) == "" and driven.desired.condition().accepting
    assert later(driven, it, 1) == "" and later(driven, it) == "no job for 8s"


def test_a_job_that_is_offered_at_the_last_moment_is_done(tmp_path):
    driven = idle(tmp_path)
    driven.welcome()
    it = leaving(driven)
    driven.now += 8
    it.check()
    key = driven.take()
    assert driven.session.attempts
    assert later(driven, it, 3600) == ""
    end(driven, key)
    settle(driven, key)
    it.check()
    assert it.reason == "no job for 8s"


def test_idle_time_counts_from_the_first_connection(tmp_path):
    driven = idle(tmp_path)
    it = leaving(driven)
    assert later(driven, it, 3600) == ""
    driven.welcome()
    assert later(driven, it, 7) == ""
    driven.driver.link_closed("gone")
    assert later(driven, it, 1) == "" and later(driven, it) == "no job for 8s"
