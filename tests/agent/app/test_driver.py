"""The driver: every effect reaches its port, at once and in order; refusals when the disk fails."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from remote_agent.app.shutdown import Lifetime
from remote_agent.session.events import (
    AcceptanceDurable,
    AcceptanceFailed,
    AttemptEnded,
    AttemptStarted,
    SpoolGrew,
)
from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import Chunk
from remote_protocol.errors import CloseCode
from remote_protocol.messages import (
    Accept,
    Ack,
    Assignment,
    Cancel,
    Configure,
    DesiredMode,
    Ended,
    Error,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    Hello,
    InputEnd,
    OwnLogAck,
    ReadInput,
    Refusal,
    Refuse,
    Ruling,
    SetMode,
    Settings,
    Settled,
    Superseded,
    Verdict,
)
from remote_protocol.spec import CommandSpec
from remote_protocol.states import EndReason
from tests.support.driven import Driven, an_end


@pytest.fixture
def driven(tmp_path):
    it = Driven(tmp_path)
    it.welcome()
    it.port.done.clear()
    return it


def test_the_own_log_hears_what_the_server_has(driven):
    driven.hear(OwnLogAck(cursor="c2"))
    driven.driver.link_closed("gone")
    assert driven.port.done == [("stored", "c2"), ("begin", None)]


def test_an_offer_is_stored_accepted_and_started_without_a_pause(driven):
    key = driven.take()
    assert driven.port.done == [("store", key), ("start", key)]
    assert [m.attempt for m in driven.said(Accept)] == [key]


def test_a_disk_that_refuses_refuses_the_offer(driven, capsys):
    driven.port.full = True
    key = driven.take()
    (refuse,) = driven.said(Refuse)
    assert refuse.reason is Refusal.DISK and "No space left" in refuse.detail
    assert not driven.session.attempts and ("start", key) not in driven.port.done
    assert "an offer was refused" in capsys.readouterr().out
    assert driven.port.refusals == [refuse.detail]


def test_a_job_that_cannot_be_prepared_is_rejected_and_the_agent_lives(driven, capsys):
    def broken(offer):
        raise ValueError("No closing quotation")

    driven.port.store = broken
    key = driven.take(confirm=False)
    (refuse,) = driven.said(Refuse)
    assert refuse.reason is Refusal.POLICY and "No closing quotation" in refuse.detail
    assert key not in driven.session.attempts


def test_an_attempt_to_its_end(driven):
    key = driven.take()
    driven.driver.handle(AttemptStarted(key, 7, 1.0))
    driven.driver.handle(SpoolGrew(key, 10))
    assert driven.port.done[-1] == ("wake",)
    driven.hear(Ack(attempt=key, offset=10))
    assert driven.port.done[-1] == ("acknowledged", key, 10)
    driven.driver.handle(AttemptEnded(key, an_end(key, size=10)))
    assert driven.said(Ended)
    driven.hear(Settled(attempt=key))
    assert driven.port.done[-2:] == [("forget", key), ("forget", key)]


def test_inputs_reach_the_disk_and_are_asked_for_again_when_it_is_full(driven):
    driven.welcome()
    key = driven.take(spec=CommandSpec(command=["cat"], stdin=True))
    assert driven.said(ReadInput)[-1].offset == 0
    driven.driver.link_input(Chunk(key, 0, memoryview(b"abc")))
    assert driven.port.done[-1] == ("append", key, 0, b"abc")
    assert driven.session.attempts[key].input.size == 3
    driven.port.full = True
    driven.driver.link_input(Chunk(key, 3, memoryview(b"def")))
    driven.driver.tick()
    assert driven.said(ReadInput)[-1].offset == 3
    driven.hear(InputEnd(attempt=key, size=3))
    driven.port.full = False
    driven.driver.tick()
    driven.hear(InputEnd(attempt=key, size=3))
    assert driven.port.done[-1] == ("end", key, 3)
    assert driven.session.attempts[key].input.ended


def test_stop_kill_and_closing_reach_their_ports(driven):
    first, second = driven.take(), driven.take()
    driven.hear(Cancel(attempt=first, detail="enough"))
    driven.hear(Superseded(attempt=second))
    assert driven.port.done[-2:] == [("stop", first, EndReason.CANCELLED), ("kill", second)]
    driven.hear(Ack(attempt=first, offset=10**6))
    assert ("close", CloseCode.BAD_MESSAGE) in driven.port.done


def test_an_error_of_the_server_is_logged_in_its_words(driven, capsys):
    driven.hear(Error(code="unsupported_version", detail="update the agent"))
    assert "update the agent" in capsys.readouterr().out


def test_a_welcome_sets_capacity_and_trims_spools(driven):
    key = driven.take()
    driven.driver.handle(AttemptStarted(key, 7, 1.0))
    driven.driver.handle(SpoolGrew(key, 10))
    driven.driver.link_closed("cut")
    assert driven.driver.connected_at is None
    ruling = Ruling(attempt=key, verdict=Verdict.KEEP, offset=10)
    driven.port.done.clear()
    driven.welcome(rulings=[ruling])
    assert ("acknowledged", key, 10) in driven.port.done
    assert ("resize", 5) in driven.port.done
    assert driven.driver.connected_at == 1000.0


def test_capacity_that_no_queue_uses_is_said_once(driven, capsys):
    wrong = Assignment(queues=["default"], capacity={"default": 2, "monitros": 3})
    for _ in range(2):
        driven.hear(Configure(assignment=wrong, heartbeat_interval=15.0, offer_ttl=45.0))
    assert capsys.readouterr().out.count("capacity for 'monitros' is never used") == 1


def test_the_desired_state_changes_the_condition_and_all_hear_of_it(driven):
    driven.hear(SetMode(desired=DesiredMode(paused=True, comment="later")))
    assert driven.said(Heartbeat)[-1].condition.reason == "paused: later"
    assert driven.port.statuses[-1] == "online, 0 jobs, paused: later"
    key = driven.take(confirm=False)
    assert (
        driven.said(Refuse)[-1].reason is Refusal.PAUSED and ("store", key) not in driven.port.done
    )


def test_a_blocked_host_refuses_with_its_own_reason_from_the_next_tick_on(driven):
    driven.desired.block("disk below its reserve")
    driven.driver.tick()
    driven.take(confirm=False)
    assert driven.said(Refuse)[-1].reason is Refusal.DISK


def test_what_was_taken_counts_before_anything_else_is_heard(tmp_path):
    driven = Driven(tmp_path, lifetime=Lifetime(once=True))
    driven.welcome()
    key = driven.take(confirm=False)
    assert driven.said(Heartbeat)[-1].condition.reason == "the agent is stopping"
    assert list(driven.session.attempts) == [key]


def hold_flushes(driven):
    """From now on nothing is durable before an event says so; the attempts that are to be."""
    forced: list[AttemptId] = []
    store = SimpleNamespace(store=driven.driver._ports.store.store, force=forced.append)
    driven.driver._ports = driven.driver._ports._replace(store=store)
    return forced


def test_an_attempt_that_is_confirmed_starts_when_it_is_durable(driven):
    forced = hold_flushes(driven)
    key = driven.take()
    assert [m.attempt for m in driven.said(Accept)] == forced == [key]
    assert driven.port.done == [("store", key)]
    driven.driver.handle(AcceptanceDurable(key))
    assert driven.port.done == [("store", key), ("start", key)]


def test_a_disk_that_does_not_keep_an_acceptance_ends_it_and_takes_no_more(driven):
    hold_flushes(driven)
    key = driven.take()
    driven.driver.handle(AcceptanceFailed(key, "Input/output error"))
    assert driven.port.done == [("store", key), ("stop", key, EndReason.LOST)]
    assert driven.port.refusals == ["Input/output error"]


def test_secrets_that_wait_for_the_disk_are_read_by_nobody(driven, monkeypatch):
    forbidden = []
    monkeypatch.setattr("remote_agent.app.driver.forbid_inspection", lambda: forbidden.append(1))
    hold_flushes(driven)
    driven.take()
    assert not forbidden
    driven.take(spec=CommandSpec(command=["true"], secrets=["A"]))
    assert forbidden == [1]


def test_contact_that_is_confirmed_is_noted_and_a_full_disk_does_not_matter(driven, capsys):
    assert driven.port.contacts == [1000.0]
    driven.now += 16
    driven.driver.tick()
    driven.port.full = True
    driven.hear(HeartbeatAck(seq=driven.said(Heartbeat)[-1].seq, epoch=1, leases=0, eligible=True))
    assert "the last contact with the server cannot be written" in capsys.readouterr().out
    assert driven.port.contacts == [1000.0]


def test_ticks_make_heartbeats_and_silence_closes(driven):
    driven.now += 16
    driven.driver.tick()
    assert driven.said(Heartbeat)
    driven.hear(HeartbeatAck(seq=driven.said(Heartbeat)[-1].seq, epoch=1, leases=0, eligible=True))
    driven.now += 60
    driven.driver.tick()
    assert ("close", CloseCode.SILENT) in driven.port.done


def test_new_settings_and_the_goodbye(driven):
    driven.driver.announce(Settings(capacity={"default": 9}))
    assert driven.said(Hello)[-1].settings.capacity == {"default": 9}
    driven.welcome()
    driven.driver.say_goodbye("drained")
    assert driven.said(Goodbye)[-1].reason == "drained"


def test_a_defect_in_an_effect_is_raised_and_leaves_no_event_behind(driven):
    def broken(key):
        raise RuntimeError("a defect")

    driven.port.start = broken
    with pytest.raises(RuntimeError):
        driven.take()
    driven.driver.tick()
