"""Messages: frozen, told apart by their type, fenced by their attempt, all of them documented."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from remote_protocol import agent_messages, messages, server_messages
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import (
    AgentMessage,
    Cancel,
    Confirm,
    Ended,
    Heartbeat,
    Message,
    Refusal,
    ServerMessage,
    Welcome,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "protocol.md"
JOB = "01ARYZ6S410000000000000000"
FROM_AGENT = get_args(get_args(AgentMessage)[0])
FROM_SERVER = get_args(get_args(ServerMessage)[0])
ABOUT_AN_ATTEMPT = {
    *("accept", "refuse", "started", "ended", "missing"),
    *(
        "read_input",
        "input_ack",
        "input_end",
        "artifact",
        "artifact_lost",
        "artifact_ack",
        "content_lost",
        "read_content",
    ),
    *("offer", "confirm", "ack", "rewind", "settled", "cancel", "superseded"),
}


def kind(message: type[Message]) -> str:
    return str(message.model_fields["type"].default)


def test_every_message_is_in_one_of_the_unions() -> None:
    known = {*FROM_AGENT, *FROM_SERVER}
    ours = {agent_messages.__name__, server_messages.__name__}
    assert {m for m in Message.__subclasses__() if m.__module__ in ours} == known
    assert all(getattr(messages, message.__name__) is message for message in known)
    assert not {*FROM_AGENT} & {*FROM_SERVER}


def test_types_are_told_apart() -> None:
    kinds = [kind(message) for message in (*FROM_AGENT, *FROM_SERVER)]
    assert len(set(kinds)) == len(kinds)


def test_what_is_about_an_attempt_carries_its_number() -> None:
    fenced = {
        kind(message)
        for message in (*FROM_AGENT, *FROM_SERVER)
        if "attempt" in message.model_fields
    }
    assert fenced == ABOUT_AN_ATTEMPT


@pytest.mark.parametrize(
    "odd",
    [
        {"exit_code": 10**30},
        {"ended_at": float("nan")},
        {"ended_at": 1e300},
        {"started_at": -1.0},
        {"usage": {"max_rss": 10**40}},
        {"usage": {"stdout_bytes": -1}},
        {"usage": {"duration": float("inf")}},
        {"steps": [{"at": float("nan"), "what": "spawned"}]},
    ],
)
def test_an_end_that_no_database_could_keep_is_refused(odd: dict[str, object]) -> None:
    about = {"attempt": AttemptId(JOB, 1), "end_reason": "exit"}
    fine = {**about, "size": 0, "checksum": 0, "ended_at": 1}
    assert Ended.model_validate(fine).exit_code is None
    with pytest.raises(ValidationError):
        Ended.model_validate({**fine, **odd})


@pytest.mark.parametrize("message", [*FROM_AGENT, *FROM_SERVER])
def test_every_message_says_what_it_means(message: type[Message]) -> None:
    assert message.__doc__
    assert message.model_config["frozen"] is True
    assert message.model_config["extra"] == "ignore"


def test_messages_cannot_be_changed() -> None:
    confirm = Confirm(attempt=AttemptId(JOB, 1))
    with pytest.raises(ValidationError):
        confirm.attempt = AttemptId(JOB, 2)


def test_only_a_policy_refuses_for_good() -> None:
    assert [refusal for refusal in Refusal if refusal.final] == [Refusal.POLICY]


def test_heartbeats_are_counted_from_one() -> None:
    with pytest.raises(ValidationError):
        Heartbeat(seq=0)


@pytest.mark.parametrize("field", ["heartbeat_interval", "offer_ttl"])
def test_a_welcome_needs_time(field: str) -> None:
    times = {"heartbeat_interval": 1.0, "offer_ttl": 1.0, field: 0.0}
    with pytest.raises(ValidationError, match=field):
        Welcome.model_validate(
            {
                "version": 1,
                "session": JOB,
                "epoch": 1,
                "agent": "a",
                "assignment": {"queues": [], "capacity": {}},
                **times,
            }
        )


def test_a_sentence_has_a_limit() -> None:
    with pytest.raises(ValidationError, match="detail"):
        Cancel(attempt=AttemptId(JOB, 1), detail="x" * 2001)


@pytest.mark.parametrize(
    ("heading", "union"), [("From the agent", FROM_AGENT), ("From the server", FROM_SERVER)]
)
def test_the_document_lists_every_message(heading: str, union: tuple[type[Message], ...]) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.split(f"### {heading}")[1].split("\n#")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [kind(m) for m in union]
