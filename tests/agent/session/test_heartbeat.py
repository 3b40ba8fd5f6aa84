"""Heartbeats on a clock of the test's own."""

from __future__ import annotations

from math import inf

import pytest

from remote_agent.session.heartbeat import FIRST_INTERVAL, MISMATCHES, SILENCE, Heartbeats
from remote_protocol.errors import RemoteProtocolError
from remote_protocol.messages import HeartbeatAck


@pytest.fixture
def beats() -> Heartbeats:
    it = Heartbeats()
    it.restart(100.0)
    return it


def ack(seq: int, leases: int = 0) -> HeartbeatAck:
    return HeartbeatAck(seq=seq, epoch=1, leases=leases, eligible=True)


def test_one_is_due_after_the_interval(beats: Heartbeats) -> None:
    assert not beats.due(100.0 + FIRST_INTERVAL - 1, inf)
    assert beats.due(100.0 + FIRST_INTERVAL, inf)
    beats.interval = 5.0
    assert beats.due(105.0, inf)


def test_more_are_due_for_a_job_that_ends_soon_without_the_server(beats: Heartbeats) -> None:
    assert beats.due(101.0, 3.0) and not beats.due(100.5, 3.0)
    seq = beats.send(101.0, 0)
    assert not beats.due(102.0, 3.0), "the one before is not answered yet"
    assert beats.answered(ack(seq))
    assert beats.confirmed_at == 101.0 and beats.due(102.0, 3.0)


def test_only_the_newest_answer_proves_anything(beats: Heartbeats) -> None:
    first, second = beats.send(110.0, 0), beats.send(120.0, 0)
    assert not beats.answered(ack(first)) and beats.confirmed_at == 100.0
    assert beats.answered(ack(second)) and beats.confirmed_at == 120.0
    with pytest.raises(RemoteProtocolError, match="never sent"):
        beats.answered(ack(second + 1))


def test_counts_must_differ_in_a_row(beats: Heartbeats) -> None:
    for leases in (1, 0, 1):
        assert beats.answered(ack(beats.send(110.0, 0), leases)) and not beats.out_of_step()
    for _ in range(MISMATCHES - 1):
        assert beats.answered(ack(beats.send(110.0, 0), 1))
    assert beats.out_of_step() and not beats.out_of_step()


def test_silence(beats: Heartbeats) -> None:
    limit = SILENCE * FIRST_INTERVAL
    assert beats.silent_for(100.0 + limit) is None
    assert beats.silent_for(101.0 + limit) == limit + 1
    beats.heard(101.0)
    assert beats.silent_for(101.0 + limit) is None
