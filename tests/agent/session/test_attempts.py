"""The agent's attempts, step by step; what the simulation found stands here as plain tests."""

from __future__ import annotations

from typing import Any

import pytest

from remote_agent.session import events as ev
from remote_agent.session.attempt import FoundAttempt
from remote_agent.session.effects import (
    Acknowledged,
    ForbidInspection,
    Force,
    Forget,
    Kill,
    Prepare,
    Send,
    Start,
    Stop,
)
from remote_agent.session.secret_needs import SecretNeeds
from remote_agent.session.send_window import LEAST
from remote_protocol import messages as m
from remote_protocol.codec import Written, accept
from remote_protocol.limits import MAX_PAYLOAD, WINDOW
from remote_protocol.messages import Phase, Refusal, Verdict
from remote_protocol.spec import CommandSpec, PythonSpec
from remote_protocol.states import EndReason
from tests.agent.session.talk import KEY, OTHER, OTHER_KEY, Talk, ended, kinds, ruling, sent

STARTED = m.Started(attempt=KEY, pid=7, at=1.0)


@pytest.fixture
def talk() -> Talk:
    return Talk().online()


def reopen(talk: Talk, *rulings: m.Ruling) -> list[str]:
    talk.do(ev.LinkClosed())
    talk.open(OTHER)
    return kinds(talk.welcome(*rulings, session=OTHER))[4:]


# From offer to start -------------------------------------------------------------------------


def test_nothing_starts_before_it_is_confirmed(talk: Talk) -> None:
    talk.accepted()
    assert talk.tick(1) == []
    assert talk.say("confirm") == [Start(KEY)]
    assert talk.say("confirm") == []


@pytest.mark.parametrize(
    "named",
    [
        {"files": [{"path": "data.csv", "digest": "ab" * 32, "size": 3}]},
        {"bundle": {"digest": "ab" * 32, "size": 3}},
    ],
    ids=["file", "bundle"],
)
def test_contents_are_fetched_before_the_start(talk: Talk, named: dict[str, Any]) -> None:
    spec = PythonSpec.model_validate({"script": "print()", **named})
    talk.accepted(spec=spec)
    assert talk.say("confirm") == [Prepare(KEY, spec)]


def test_a_confirmation_of_what_was_not_accepted_counts_for_nothing(talk: Talk) -> None:
    talk.offer()
    assert talk.say("confirm") == []
    talk.do(ev.OfferStored(KEY))
    talk.do(ev.AcceptanceDurable(KEY))
    assert talk.say("confirm") == [Start(KEY)]


# Accepted before it is durable ---------------------------------------------------------------


def test_an_acceptance_is_said_before_the_disk_is_asked_to_keep_it(talk: Talk) -> None:
    talk.offer(serial=4)
    assert talk.do(ev.OfferStored(KEY)) == [Send(accept(KEY, 4)), Force(KEY)]


@pytest.mark.parametrize("first", ["confirm", "durable"])
def test_an_attempt_starts_when_it_is_confirmed_and_durable(talk: Talk, first: str) -> None:
    talk.written()
    steps = [lambda: talk.say("confirm"), lambda: talk.do(ev.AcceptanceDurable(KEY))]
    before, after = steps if first == "confirm" else reversed(steps)
    assert before() == []
    assert after() == [Start(KEY)]
    assert talk.do(ev.AcceptanceDurable(KEY)) == talk.say("confirm") == []


def test_what_a_start_is_given_waits_for_the_disk(talk: Talk) -> None:
    spec = CommandSpec(command=["true"], secrets=["A"])
    talk.written(spec=spec)
    assert talk.say("confirm", secrets={"A": "old"}) == [ForbidInspection()]
    assert talk.say("confirm", secrets={"A": "new"}) == [ForbidInspection()]
    held = talk.session.attempts[KEY]
    assert "new" not in repr(held)
    given = m.Confirm(attempt=KEY, secrets={"A": "new"})
    assert talk.do(ev.AcceptanceDurable(KEY)) == [Start(KEY, SecretNeeds(spec, given))]
    assert held.needs is None


@pytest.mark.parametrize("what", ["cancel", "offer", "not durable"])
def test_what_is_not_started_keeps_no_secrets(talk: Talk, what: str) -> None:
    spec = CommandSpec(command=["true"], secrets=["A"])
    talk.written(spec=spec)
    talk.say("confirm", secrets={"A": "hush"})
    held = talk.session.attempts[KEY]
    assert held.needs is not None
    if what == "cancel":
        talk.say("cancel", reason="cancelled")
    elif what == "offer":
        talk.offer(spec=spec)
    else:
        talk.do(ev.AcceptanceFailed(KEY, "input/output error"))
    assert held.needs is None


def test_an_input_is_asked_for_at_the_start(talk: Talk) -> None:
    spec = CommandSpec(command=["cat"], stdin=True)
    talk.written(spec=spec)
    assert talk.say("confirm") == []
    assert kinds(talk.do(ev.AcceptanceDurable(KEY))) == ["Start", "read_input"]


@pytest.mark.parametrize("confirmed", [False, True])
def test_what_the_disk_does_not_keep_ends_and_never_starts(talk: Talk, confirmed: bool) -> None:
    talk.written()
    if confirmed:
        talk.say("confirm")
    detail = "the disk does not keep it"
    assert talk.do(ev.AcceptanceFailed(KEY, detail)) == [Stop(KEY, EndReason.LOST, detail)]
    assert talk.do(ev.AcceptanceDurable(KEY)) == talk.say("confirm") == []
    over = ended(reason=EndReason.LOST)
    assert sent(talk.do(ev.AttemptEnded(KEY, over))) == [over]
    assert talk.say("settled") == [Forget(KEY)]


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize("again", ["offer", "hello"])
def test_what_is_said_anew_is_confirmed_anew(talk: Talk, confirmed: bool, again: str) -> None:
    talk.written()
    if confirmed:
        talk.say("confirm")
    if again == "offer":
        assert kinds(talk.offer(serial=2)) == ["accept"]
    else:
        talk.do(ev.LinkClosed())
        (item,) = talk.open(OTHER).inventory
        assert (item.attempt, item.phase) == (KEY, Phase.ACCEPTED)
        assert "accept" in kinds(talk.welcome(ruling(Verdict.KEEP), session=OTHER))
    assert talk.do(ev.AcceptanceDurable(KEY)) == []
    assert talk.say("confirm") == [Start(KEY)]


@pytest.mark.parametrize("confirmed", [False, True])
def test_what_is_superseded_before_it_is_durable_is_forgotten(talk: Talk, confirmed: bool) -> None:
    talk.written()
    if confirmed:
        talk.say("confirm")
    assert talk.say("superseded") == [Forget(KEY)]
    assert talk.do(ev.AcceptanceDurable(KEY)) == []
    assert not talk.session.attempts


@pytest.mark.parametrize("confirmed", [False, True])
def test_a_cancel_before_it_is_durable_ends_it(talk: Talk, confirmed: bool) -> None:
    talk.written()
    if confirmed:
        talk.say("confirm")
    assert kinds(talk.say("cancel")) == ["Stop"]
    assert talk.do(ev.AcceptanceDurable(KEY)) == talk.say("confirm") == []
    over = ended(reason=EndReason.CANCELLED)
    assert sent(talk.do(ev.AttemptEnded(KEY, over))) == [over]


def test_an_end_of_what_is_not_durable_is_reported(talk: Talk) -> None:
    # The agent is stopped, and ends all that it holds.
    talk.written()
    over = ended(reason=EndReason.CANCELLED)
    assert sent(talk.do(ev.AttemptEnded(KEY, over))) == [over]


def test_an_attempt_of_a_former_process_that_the_disk_does_not_keep_is_ended() -> None:
    talk = Talk().adopt(Phase.ACCEPTED)
    assert kinds(talk.do(ev.AcceptanceFailed(KEY, "no"))) == ["Stop"]
    talk.open()
    assert "Start" not in kinds(talk.welcome(ruling(Verdict.KEEP)) + talk.say("confirm"))


# -----------------------------------------------------------------------------------------------


def test_a_full_disk_refuses(talk: Talk) -> None:
    talk.offer(serial=5)
    (refuse,) = sent(talk.do(ev.OfferFailed(KEY, Refusal.DISK, "no space left")))
    assert isinstance(refuse, m.Refuse)
    assert (refuse.reason, refuse.serial, refuse.detail) == (Refusal.DISK, 5, "no space left")
    assert not talk.session.attempts


def test_a_serial_does_not_outlive_its_link(talk: Talk) -> None:
    talk.offer(serial=9)
    talk.do(ev.OfferStored(KEY))
    talk.do(ev.LinkClosed())
    talk.open(OTHER)
    effects = talk.welcome(ruling(Verdict.KEEP), session=OTHER)
    assert accept(KEY, 0) in sent(effects)


def test_an_attempt_of_a_former_process_waits_for_its_confirmation() -> None:
    talk = Talk().adopt(Phase.ACCEPTED)
    talk.open()
    assert kinds(talk.welcome(ruling(Verdict.KEEP)))[4:] == ["accept", "WakeUploader"]
    assert talk.say("confirm") == [Start(KEY)]


def test_events_about_unknown_attempts_are_nothing(talk: Talk) -> None:
    assert talk.do(ev.OfferStored(KEY)) == []
    assert talk.do(ev.OfferFailed(KEY, Refusal.DISK, "")) == []
    assert talk.do(ev.AcceptanceDurable(KEY)) == []
    assert talk.do(ev.AcceptanceFailed(KEY, "")) == []
    assert talk.do(ev.AttemptStarted(KEY, 1, 1.0)) == []
    assert talk.do(ev.SpoolGrew(KEY, 1)) == []
    assert talk.do(ev.ChunkSent(KEY, 1)) == []
    assert talk.do(ev.AttemptEnded(KEY, ended())) == []


@pytest.mark.parametrize("kind", ["confirm", "settled", "superseded", "cancel"])
def test_messages_about_unknown_attempts_are_harmless(talk: Talk, kind: str) -> None:
    assert talk.say(kind) == []


# Output --------------------------------------------------------------------------------------


def test_attempts_take_turns(talk: Talk) -> None:
    talk.running().running(OTHER_KEY)
    talk.do(ev.SpoolGrew(KEY, 2 * MAX_PAYLOAD))
    talk.do(ev.SpoolGrew(OTHER_KEY, MAX_PAYLOAD))
    order = []
    while (chunk := talk.session.next_chunk()) is not None:
        order.append(chunk[0])
        talk.do(ev.ChunkSent(chunk[0], chunk[2]))
    assert order == [KEY, OTHER_KEY, KEY]


def test_unacknowledged_bytes_are_bounded_until_acks_come(talk: Talk) -> None:
    talk.running()
    talk.do(ev.SpoolGrew(KEY, 3 * WINDOW))
    total = 0
    while (chunk := talk.session.next_chunk()) is not None:
        total += chunk[2]
        talk.do(ev.ChunkSent(KEY, chunk[2]))
    assert total == LEAST
    # It came back fast: one more may be on its way from now on.
    assert kinds(talk.say("ack", offset=MAX_PAYLOAD)) == ["WakeUploader"]
    assert talk.session.next_chunk() == (KEY, LEAST, MAX_PAYLOAD)
    talk.do(ev.ChunkSent(KEY, MAX_PAYLOAD))
    assert talk.session.next_chunk() == (KEY, LEAST + MAX_PAYLOAD, MAX_PAYLOAD)
    talk.do(ev.ChunkSent(KEY, MAX_PAYLOAD))
    assert talk.session.next_chunk() is None


def test_the_window_shrinks_when_acknowledgements_come_late(talk: Talk) -> None:
    talk.running()
    talk.do(ev.SpoolGrew(KEY, 30 * WINDOW))
    most = sent = 0
    for delay in [0.0] * 20 + [0.1] * 20:
        under_way = 0
        while (chunk := talk.session.next_chunk()) is not None:
            sent += chunk[2]
            under_way += chunk[2]
            talk.do(ev.ChunkSent(KEY, chunk[2]))
        most = max(most, under_way)
        talk.now += delay
        talk.say("ack", offset=sent)
    assert most == WINDOW
    assert under_way == LEAST


def test_growth_wakes_the_uploader_once(talk: Talk) -> None:
    talk.running()
    assert kinds(talk.do(ev.SpoolGrew(KEY, 1))) == ["WakeUploader"]
    assert talk.do(ev.SpoolGrew(KEY, 2)) == []


def test_a_short_read_is_gone_on_from(talk: Talk) -> None:
    talk.running()
    talk.do(ev.SpoolGrew(KEY, 10))
    assert talk.session.next_chunk() == (KEY, 0, 10)
    talk.do(ev.ChunkSent(KEY, 4))
    assert talk.session.next_chunk() == (KEY, 4, 6)


def test_a_rewind_makes_the_chunk_under_way_an_old_one(talk: Talk) -> None:
    talk.running()
    talk.do(ev.SpoolGrew(KEY, 10))
    talk.session.next_chunk()
    talk.do(ev.ChunkSent(KEY, 10))
    talk.do(ev.SpoolGrew(KEY, 14))
    assert talk.session.next_chunk() == (KEY, 10, 4)
    talk.say("rewind", offset=2)
    talk.do(ev.ChunkSent(KEY, 4))
    assert talk.session.next_chunk() == (KEY, 2, 12)


@pytest.mark.parametrize("kind", ["ack", "rewind"])
def test_bytes_that_never_were_close_the_link(talk: Talk, kind: str) -> None:
    talk.running()
    talk.do(ev.SpoolGrew(KEY, 10))
    assert kinds(talk.say(kind, offset=11)) == ["CloseLink"]


# The end -------------------------------------------------------------------------------------


def test_the_end_is_said_after_the_last_byte(talk: Talk) -> None:
    talk.running()
    talk.do(ev.SpoolGrew(KEY, 5))
    assert talk.do(ev.AttemptEnded(KEY, ended(size=9))) == []
    talk.session.next_chunk()
    assert talk.do(ev.ChunkSent(KEY, 5)) == []
    talk.session.next_chunk()
    assert sent(talk.do(ev.ChunkSent(KEY, 4))) == [ended(size=9)]


def test_an_end_without_output_is_said_at_once(talk: Talk) -> None:
    talk.running()
    assert sent(talk.do(ev.AttemptEnded(KEY, ended()))) == [ended()]
    assert talk.do(ev.AttemptEnded(KEY, ended())) == []


def test_an_end_that_is_there_as_json_is_said_so(talk: Talk) -> None:
    talk.running()
    said = [Written("ended", KEY, "{}")]
    assert sent(talk.do(ev.AttemptEnded(KEY, ended(), "{}"))) == said
    assert sent(talk.offer(serial=2)) == said, "the same once more"


def test_a_notification_ahead_of_the_disk_does_not_hold_up_the_end(talk: Talk) -> None:
    talk.running()
    talk.do(ev.SpoolGrew(KEY, 50))
    talk.do(ev.AttemptEnded(KEY, ended(size=5)))
    assert talk.session.next_chunk() == (KEY, 0, 5)
    assert sent(talk.do(ev.ChunkSent(KEY, 5))) == [ended(size=5)]


def test_an_end_is_kept_until_it_is_settled(talk: Talk) -> None:
    talk.running()
    talk.do(ev.AttemptEnded(KEY, ended()))
    assert reopen(talk, ruling(Verdict.KEEP)) == ["ended", "WakeUploader"]
    assert talk.say("settled") == [Forget(KEY)]
    assert not talk.session.attempts


def test_a_rewind_repeats_the_end(talk: Talk) -> None:
    talk.running()
    talk.do(ev.AttemptEnded(KEY, ended(size=3)))
    talk.session.next_chunk()
    talk.do(ev.ChunkSent(KEY, 3))
    assert talk.session.next_chunk() is None
    assert kinds(talk.say("rewind", offset=0)) == ["WakeUploader"]
    talk.session.next_chunk()
    assert sent(talk.do(ev.ChunkSent(KEY, 3))) == [ended(size=3)]


def test_nothing_is_settled_that_runs(talk: Talk) -> None:
    talk.running()
    assert kinds(talk.say("settled")) == ["CloseLink"]
    assert talk.session.attempts


def test_an_offer_of_what_has_ended_repeats_the_end(talk: Talk) -> None:
    talk.running()
    talk.do(ev.AttemptEnded(KEY, ended()))
    assert kinds(talk.offer(serial=2)) == ["ended"]


# Verdicts ------------------------------------------------------------------------------------


def test_keep_goes_on_from_the_servers_length(talk: Talk) -> None:
    talk.running()
    talk.do(ev.SpoolGrew(KEY, 10))
    talk.session.next_chunk()
    talk.do(ev.ChunkSent(KEY, 10))
    assert reopen(talk, ruling(Verdict.KEEP, offset=6)) == ["started", "WakeUploader"]
    assert talk.session.next_chunk() == (KEY, 6, 4)


def test_a_spool_that_lost_its_tail_with_the_power_is_no_fault_of_the_server() -> None:
    over = ended(size=4, reason=EndReason.LOST)
    talk = Talk().adopt(Phase.ENDED, size=4, ended=over)
    talk.open()
    assert sent(talk.welcome(ruling(Verdict.KEEP, offset=9))) == [over]


def test_a_settled_verdict_forgets(talk: Talk) -> None:
    talk.running()
    talk.do(ev.AttemptEnded(KEY, ended()))
    assert reopen(talk, ruling(Verdict.SETTLED)) == ["Forget", "WakeUploader"]


def test_a_verdict_on_an_unknown_attempt_changes_nothing(talk: Talk) -> None:
    assert reopen(talk, ruling(Verdict.SUPERSEDED)) == ["WakeUploader"]


def test_superseded_kills_and_then_forgets(talk: Talk) -> None:
    talk.running()
    assert talk.say("superseded", detail="it was lost") == [Kill(KEY, "it was lost")]
    assert talk.say("superseded") == []
    assert talk.do(ev.SpoolGrew(KEY, 5)) == []
    assert talk.session.next_chunk() is None
    assert talk.do(ev.AttemptEnded(KEY, ended(size=5))) == [Forget(KEY)]


def test_what_never_began_is_forgotten_at_once(talk: Talk) -> None:
    talk.accepted()
    assert talk.say("superseded") == [Forget(KEY)]


def test_what_may_have_begun_under_a_former_process_is_killed() -> None:
    talk = Talk().adopt(Phase.ACCEPTED)
    talk.open()
    assert "Kill" in kinds(talk.welcome(ruling(Verdict.SUPERSEDED)))


def test_what_ended_is_forgotten_when_superseded(talk: Talk) -> None:
    talk.running()
    talk.do(ev.AttemptEnded(KEY, ended()))
    assert talk.say("superseded") == [Forget(KEY)]


def test_what_dies_is_in_no_inventory_and_takes_no_offer(talk: Talk) -> None:
    talk.running()
    talk.say("superseded")
    (hello,) = sent(talk.hear(m.Resync()))
    assert isinstance(hello, m.Hello)
    assert hello.inventory == []
    (refuse,) = sent(talk.offer(serial=3))
    assert isinstance(refuse, m.Refuse)
    assert (refuse.reason, refuse.serial) == (Refusal.STALE, 3)


def test_what_dies_and_is_taken_back_reports_its_end(talk: Talk) -> None:
    # The hello was on its way when the server gave the attempt up, and took it back again.
    talk.running()
    talk.hear(m.Resync())
    talk.say("superseded")
    talk.welcome(ruling(Verdict.KEEP))
    over = ended(reason=EndReason.LOST)
    assert sent(talk.do(ev.AttemptEnded(KEY, over))) == [over]


# Cancel --------------------------------------------------------------------------------------


def test_a_cancel_stops(talk: Talk) -> None:
    talk.running()
    (stop,) = talk.say("cancel", reason=EndReason.TIMEOUT, detail="too long")
    assert stop == Stop(KEY, EndReason.TIMEOUT, "too long")
    assert kinds(talk.say("cancel")) == ["Stop"]


def test_a_cancel_of_what_waits_for_its_confirmation_ends_it(talk: Talk) -> None:
    talk.accepted()
    assert kinds(talk.say("cancel")) == ["Stop"]
    assert talk.say("confirm") == []
    over = ended(reason=EndReason.CANCELLED)
    assert sent(talk.do(ev.AttemptEnded(KEY, over))) == [over]


def test_a_cancel_of_what_has_ended_changes_nothing(talk: Talk) -> None:
    talk.running()
    talk.do(ev.AttemptEnded(KEY, ended()))
    assert talk.say("cancel") == []


def test_a_superseded_attempt_that_was_stopped_is_killed(talk: Talk) -> None:
    talk.accepted()
    talk.say("cancel")
    assert kinds(talk.say("superseded")) == ["Kill"]


# What others see -----------------------------------------------------------------------------


def test_counts(talk: Talk) -> None:
    talk.running().running(OTHER_KEY)
    talk.do(ev.SpoolGrew(KEY, 30))
    talk.say("ack", offset=10)
    talk.do(ev.AttemptEnded(OTHER_KEY, ended(OTHER_KEY)))
    assert talk.session.running == 1
    assert talk.session.spool_bytes == 20
    assert set(talk.session.attempts) == {KEY, OTHER_KEY}
    with pytest.raises(TypeError):
        talk.session.attempts[KEY] = None  # type: ignore[index]


def test_a_start_is_reported_once(talk: Talk) -> None:
    talk.accepted()
    talk.say("confirm")
    assert sent(talk.do(ev.AttemptStarted(KEY, 7, 1.0))) == [STARTED]
    assert talk.do(ev.AttemptStarted(KEY, 7, 1.0)) == []


def test_what_the_server_has_may_be_trimmed(talk: Talk) -> None:
    talk.running()
    talk.do(ev.SpoolGrew(KEY, 9))
    talk.session.next_chunk()
    talk.do(ev.ChunkSent(KEY, 9))
    assert talk.say("ack", offset=5) == [Acknowledged(KEY, 5)]
    talk.do(ev.LinkClosed())
    talk.open(OTHER)
    assert Acknowledged(KEY, 7) in talk.welcome(ruling(Verdict.KEEP, offset=7), session=OTHER)


# What is not in the spool any more -----------------------------------------------------------


def held(talk: Talk, size: int, end: bool = False) -> Talk:
    """Running with `size` bytes that were sent, on another link."""
    talk.do(ev.LinkClosed())
    talk.open(OTHER)
    talk.adopt(Phase.RUNNING, size=size)
    talk.welcome(ruling(Verdict.KEEP), session=OTHER)
    if end:
        talk.do(ev.AttemptEnded(KEY, ended(size=size)))
    assert talk.session.next_chunk() == (KEY, 0, size)
    return talk


def missing(talk: Talk, offset: int, until: int | None) -> list[str]:
    assert talk.do(ev.ChunkSent(KEY, 0)) == []
    return kinds(talk.do(ev.SpoolMissing(KEY, offset, until)))


def test_what_was_dropped_is_said_and_the_rest_is_sent(talk: Talk) -> None:
    held(talk, 9, end=True)
    talk.do(ev.ChunkSent(KEY, 0))
    effects = talk.do(ev.SpoolMissing(KEY, 0, 4))
    assert sent(effects) == [m.Missing(attempt=KEY, offset=4)]
    assert talk.session.next_chunk() == (KEY, 4, 5)
    assert kinds(talk.do(ev.ChunkSent(KEY, 5))) == ["ended"]


def test_a_spool_that_is_shorter_than_its_end_says_so_and_ends(talk: Talk) -> None:
    held(talk, 9, end=True)
    assert missing(talk, 0, None) == ["missing", "ended"]
    assert talk.session.next_chunk() is None


def test_a_spool_that_may_still_grow_is_waited_for(talk: Talk) -> None:
    held(talk, 9)
    assert missing(talk, 0, None) == []
    assert talk.session.next_chunk() == (KEY, 0, 9)


def test_a_rewind_in_between_is_obeyed_first(talk: Talk) -> None:
    held(talk, 9)
    talk.do(ev.ChunkSent(KEY, 9))
    talk.say("rewind", offset=6)
    assert kinds(talk.do(ev.SpoolMissing(KEY, 0, 4))) == []


def test_what_is_missing_of_an_unknown_attempt_is_nothing(talk: Talk) -> None:
    assert talk.do(ev.SpoolMissing(OTHER_KEY, 0, 4)) == []


# Secrets -------------------------------------------------------------------------------------


def test_a_start_brings_the_secrets_that_the_confirmation_gave() -> None:
    talk = Talk().online().accepted(spec=CommandSpec(command=["true"], secrets=["A"]))
    (start,) = talk.say("confirm", secrets={"A": "hush"}, withheld={"B": "no"})
    assert isinstance(start, Start) and start.secrets is not None
    assert start.secrets.given.secrets == {"A": "hush"}
    assert start.secrets.spec.secrets == ["A"]
    assert "hush" not in repr(start)


def test_after_a_restart_the_secrets_come_with_the_confirmation_that_is_repeated() -> None:
    talk = Talk()
    spec = CommandSpec(command=["true"], secrets=["A"])
    talk.session.adopt(FoundAttempt(KEY, spec, Phase.ACCEPTED, 0))
    talk.open()
    assert "accept" in kinds(talk.welcome(ruling(Verdict.KEEP)))
    (start,) = talk.say("confirm", secrets={"A": "hush"})
    assert isinstance(start, Start) and start.secrets is not None
    assert start.secrets.given.secrets == {"A": "hush"}
