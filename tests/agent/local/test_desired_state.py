"""What people want, on both sides, and what the agent does about it."""

from __future__ import annotations

import stat

import pytest

from remote_agent.local.desired_state import FILE, ClockReading, DesiredState, LocalRequest
from remote_protocol.messages import DesiredMode


def test_without_a_request_the_agent_takes_jobs(tmp_path):
    condition = DesiredState(tmp_path).condition()
    assert condition.accepting and not condition.reason and not condition.draining


def test_a_local_pause_survives_a_restart_with_its_comment(tmp_path):
    DesiredState(tmp_path).set_local(LocalRequest(paused=True, comment="changing the disk"))
    condition = DesiredState(tmp_path).condition()
    assert not condition.accepting
    assert condition.reason == "paused on the host: changing the disk"
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_resuming_here_does_not_overrule_the_server(tmp_path):
    desired = DesiredState(tmp_path)
    desired.set_local(LocalRequest(paused=True))
    desired.server = DesiredMode(paused=True, comment="holidays")
    desired.set_local(LocalRequest())
    assert desired.condition().reason == "paused: holidays"
    desired.server = DesiredMode()
    assert desired.condition().accepting


def test_a_drain_survives_a_kill_and_ends_when_it_is_complete(tmp_path):
    DesiredState(tmp_path).set_local(LocalRequest(draining=True, drain_deadline=60.0))
    desired = DesiredState(tmp_path)
    assert desired.draining and desired.condition().draining
    desired.end_local_drain()
    assert not DesiredState(tmp_path).draining


DRAIN = LocalRequest(draining=True, drain_deadline=60.0)


class Clocks:
    """The clocks of a host, moved by hand."""

    def __init__(self) -> None:
        self.reading = ClockReading(100.0, 5000.0, "first")

    def __call__(self) -> ClockReading:
        return self.reading

    def advance(self, boot: float, wall: float) -> None:
        now = self.reading
        self.reading = now._replace(boot=now.boot + boot, wall=now.wall + wall)

    def restart(self, wall: float) -> None:
        self.reading = ClockReading(7.0, self.reading.wall + wall, "second")


@pytest.fixture
def clocks():
    return Clocks()


def test_a_restart_of_the_agent_grants_no_more_time(tmp_path, clocks):
    DesiredState(tmp_path, clocks).set_local(DRAIN)
    # The wall clock is set meanwhile: that changes nothing.
    clocks.advance(boot=50, wall=-3000)
    desired = DesiredState(tmp_path, clocks)
    assert desired.local_end == 160.0
    clocks.advance(boot=500, wall=500)
    assert DesiredState(tmp_path, clocks).local_end == 160.0


@pytest.mark.parametrize(("away", "left"), [(20.0, 40.0), (600.0, 0.0), (-600.0, 60.0)])
def test_a_restart_of_the_host_grants_no_more_time(tmp_path, clocks, away, left):
    DesiredState(tmp_path, clocks).set_local(DRAIN)
    clocks.restart(wall=away)
    assert DesiredState(tmp_path, clocks).local_end == 7.0 + left


def test_other_requests_grant_no_more_time_and_another_deadline_does(tmp_path, clocks):
    desired = DesiredState(tmp_path, clocks)
    desired.set_local(DRAIN)
    clocks.advance(boot=50, wall=50)
    desired.set_local(DRAIN._replace(paused=True))
    assert desired.local_end == DesiredState(tmp_path, clocks).local_end == 160.0
    desired.set_local(DRAIN._replace(drain_deadline=70.0))
    assert desired.local_end == DesiredState(tmp_path, clocks).local_end == 220.0


def test_a_drain_that_does_not_hold_has_no_deadline(tmp_path, clocks):
    desired = DesiredState(tmp_path, clocks)
    desired.server = DesiredMode(draining=False, drain_deadline=5.0)
    assert desired.server_deadline is None and desired.local_end is None and not desired.draining
    desired.server = DesiredMode(draining=True, drain_deadline=5.0)
    assert desired.server_deadline == 5.0
    desired.set_local(DRAIN._replace(drain_deadline=None))
    assert desired.local_end is None


def test_reasons_have_an_order(tmp_path):
    desired = DesiredState(tmp_path)
    desired.blocked_reason = "disk below its reserve"
    assert desired.condition().reason == "disk below its reserve"
    desired.server = DesiredMode(draining=True)
    assert desired.condition().reason == "draining, as asked for by the server"
    desired.stopping = True
    assert desired.condition().reason == "the agent is stopping"


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b'{"drain_deadline": "soon"}',
        b'{"draining": true}',
        b'{"draining": true, "requested_at": {}}',
    ],
)
def test_a_damaged_file_pauses_the_agent_until_resume(tmp_path, damage):
    (tmp_path / FILE).write_bytes(damage)
    desired = DesiredState(tmp_path)
    assert desired.local.paused and "damaged" in desired.local.comment
    desired.set_local(LocalRequest())
    assert DesiredState(tmp_path).condition().accepting
