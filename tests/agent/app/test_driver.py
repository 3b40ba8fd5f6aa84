"""The host: every effect reaches its organ, at once and in order; refusals when the disk fails."""

from __future__ import annotations

import pytest

from remote_agent.session.events import AttemptEnded, AttemptStarted, SpoolGrew
from remote_protocol.codec import Chunk
from remote_protocol.errors import CloseCode
from remote_protocol.messages import (
    Accept,
    Ack,
    Assignment,
    Cancel,
    Configure,
    Ended,
    Error,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Hello,
    InputEnd,
    ReadInput,
    Refusal,
    Refuse,
    Ruling,
    Settings,
    Settled,
    Superseded,
    Verdict,
    Wish,
    Wishes,
)
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason
from tests.support.organs import Body, an_end


@pytest.fixture
def body(tmp_path):
    it = Body(tmp_path)
    it.welcome()
    it.organ.done.clear()
    return it


def test_an_offer_is_stored_accepted_and_started_without_a_pause(body):
    key = body.take()
    assert body.organ.done == [("store", key), ("start", key)]
    assert [m.attempt for m in body.said(Accept)] == [key]


def test_a_disk_that_refuses_refuses_the_offer(body, capsys):
    body.organ.full = True
    key = body.take()
    (refuse,) = body.said(Refuse)
    assert refuse.reason is Refusal.DISK and "No space left" in refuse.detail
    assert not body.host.session.attempts and ("start", key) not in body.organ.done
    assert "an offer was refused" in capsys.readouterr().out


def test_a_job_that_cannot_be_prepared_is_rejected_and_the_agent_lives(body, capsys):
    def broken(offer):
        raise ValueError("No closing quotation")

    body.organ.store = broken
    key = body.take(confirm=False)
    (refuse,) = body.said(Refuse)
    assert refuse.reason is Refusal.POLICY and "No closing quotation" in refuse.detail
    assert key not in body.host.session.attempts


def test_an_attempt_to_its_end(body):
    key = body.take()
    body.host.handle(AttemptStarted(key, 7, 1.0))
    body.host.handle(SpoolGrew(key, 10))
    assert body.organ.done[-1] == ("wake",)
    body.hear(Ack(attempt=key, offset=10))
    assert body.organ.done[-1] == ("acknowledged", key, 10)
    body.host.handle(AttemptEnded(key, an_end(key, size=10)))
    assert body.said(Ended)
    body.hear(Settled(attempt=key))
    assert body.organ.done[-2:] == [("forget", key), ("forget", key)]


def test_inputs_reach_the_disk_and_are_asked_for_again_when_it_is_full(body):
    body.welcome()
    key = body.take(spec=JobSpec(command=["cat"], stdin=True))
    assert body.said(ReadInput)[-1].offset == 0
    body.host.link_fed(Chunk(key, 0, memoryview(b"abc")))
    assert body.organ.done[-1] == ("append", key, 0, b"abc")
    assert body.host.session.attempts[key].input.size == 3
    body.organ.full = True
    body.host.link_fed(Chunk(key, 3, memoryview(b"def")))
    body.host.tick()
    assert body.said(ReadInput)[-1].offset == 3
    body.hear(InputEnd(attempt=key, size=3))
    body.organ.full = False
    body.host.tick()
    body.hear(InputEnd(attempt=key, size=3))
    assert body.organ.done[-1] == ("end", key, 3)
    assert body.host.session.attempts[key].input.ended


def test_stop_kill_and_closing_reach_their_organs(body):
    first, second = body.take(), body.take()
    body.hear(Cancel(attempt=first, detail="enough"))
    body.hear(Superseded(attempt=second))
    assert body.organ.done[-2:] == [("stop", first, EndReason.CANCELLED), ("kill", second)]
    body.hear(Ack(attempt=first, offset=10**6))
    assert ("close", CloseCode.BAD_MESSAGE) in body.organ.done


def test_an_error_of_the_server_is_told_in_its_words(body, capsys):
    body.hear(Error(code="unsupported_version", detail="update the agent"))
    assert "update the agent" in capsys.readouterr().out


def test_a_welcome_sets_capacity_and_trims_spools(body):
    key = body.take()
    body.host.handle(AttemptStarted(key, 7, 1.0))
    body.host.handle(SpoolGrew(key, 10))
    body.host.link_closed("cut")
    assert body.host.connected_at is None
    ruling = Ruling(attempt=key, verdict=Verdict.KEEP, offset=10)
    body.organ.done.clear()
    body.welcome(rulings=[ruling])
    assert ("acknowledged", key, 10) in body.organ.done
    assert ("resize", 5) in body.organ.done
    assert body.host.connected_at == 1000.0


def test_capacity_that_no_queue_uses_is_said_once(body, capsys):
    wrong = Assignment(queues=["default"], capacity={"default": 2, "monitros": 3})
    for _ in range(2):
        body.hear(Configure(assignment=wrong, heartbeat_interval=15.0, offer_ttl=45.0))
    assert capsys.readouterr().out.count("capacity for 'monitros' is never used") == 1


def test_wishes_change_the_condition_and_the_server_hears_of_it(body):
    changes = []
    body.host.on_change = lambda: changes.append(1)
    body.hear(Wish(wishes=Wishes(paused=True, comment="later")))
    assert body.said(Heartbeat)[-1].condition.reason == "paused: later"
    assert changes
    key = body.take(confirm=False)
    assert body.said(Refuse)[-1].reason is Refusal.PAUSED and ("store", key) not in body.organ.done


def test_a_hindrance_of_the_disk_refuses_with_its_own_reason(body):
    body.host.wishes.hindrance = "disk below its reserve"
    body.host.reconsider()
    body.take(confirm=False)
    assert body.said(Refuse)[-1].reason is Refusal.DISK


def test_what_was_taken_is_told_before_anything_else_is_heard(body):
    seen = []
    body.host.on_taken = lambda: seen.append(len(body.host.session.attempts))
    body.take(confirm=False)
    assert seen == [1]


def test_ticks_make_heartbeats_and_silence_closes(body):
    body.now += 16
    body.host.tick()
    assert body.said(Heartbeat)
    body.hear(HeartbeatAck(seq=body.said(Heartbeat)[-1].seq, epoch=1, leases=0, eligible=True))
    body.now += 60
    body.host.tick()
    assert ("close", CloseCode.SILENT) in body.organ.done


def test_new_settings_and_the_goodbye(body):
    body.host.announce(Settings(capacity={"default": 9}))
    assert body.said(Hello)[-1].settings.capacity == {"default": 9}
    body.welcome()
    body.host.leave("drained")
    assert body.said(Goodbye)[-1].reason == "drained"


def test_a_defect_in_an_effect_is_raised_and_leaves_no_event_behind(body):
    def broken(key):
        raise RuntimeError("a defect")

    body.organ.start = broken
    with pytest.raises(RuntimeError):
        body.take()
    body.host.tick()
