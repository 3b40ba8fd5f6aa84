"""The document as people read it."""

from __future__ import annotations

import json

from remote_server.web.application import description
from remote_server.web.openapi.reference import Field, Operation, read

REFERENCE = read(description())


def call(name: str) -> Operation:
    found = REFERENCE.operation(name)
    assert found is not None
    return found


def field(fields: tuple[Field, ...], name: str) -> Field:
    return next(one for one in fields if one.name == name)


def test_every_call_is_there_under_its_tag() -> None:
    paths = json.loads(description())["paths"]
    assert len(REFERENCE.operations) == sum(map(len, paths.values()))
    assert {one.tag for one in REFERENCE.operations} == set(REFERENCE.tags)
    assert REFERENCE.operation("nothing") is None


def test_a_search_needs_all_words_and_looks_at_fields() -> None:
    groups = REFERENCE.find("Idempotency-KEY post")
    found = {one.id for _, _, operations in groups for one in operations}
    assert found == {"submit_job", "retry_job", "submit_group"}
    assert [tag for tag, _, _ in groups] == ["jobs", "groups"]
    assert REFERENCE.find("no-such-word") == []


def test_rows_say_what_a_value_is() -> None:
    body = call("submit_job").body
    assert field(body, "priority").kind == "integer, -1,000 to 1,000"
    assert field(body, "command").kind.startswith("list of string")
    assert field(body, "timeout").kind == "number, above 0, at most 31,622,400 or string" + (
        ", at most 64 characters or null"
    )
    assert field(body, "labels").kind == "object of string, at most 128 characters"
    assert "`SIGTERM` | `SIGINT`" in field(body, "stop_signal").kind
    assert field(body, "on_disconnect").kind == "OnDisconnect"
    assert field(body, "lost_after").level == 1
    assert "Seconds" in field(body, "timeout").words


def test_parameters_say_where_they_belong() -> None:
    listed = call("list_jobs")
    assert field(listed.parameters, "limit").place == "query"
    assert field(call("get_job").parameters, "id") == Field(
        "id", "string", "Its id", required=True, place="path"
    )


def test_answers_have_the_words_of_those_that_calls_share() -> None:
    answers = {answer.status: answer for answer in call("submit_job").answers}
    assert answers["201"].headers[0][0] == "Location"
    assert "`unknown_queue`" in answers["422"].words
    assert answers["422"].media == ("application/problem+json",)


def test_a_success_has_its_fields() -> None:
    gives = call("list_agents").gives
    assert field(gives, "items").kind == "list of AgentView"
    assert field(gives, "capacity").level == 1
    assert call("delete_agent").gives == ()


def test_the_body_may_be_left_out_or_be_bytes() -> None:
    assert call("cancel_job").optional
    assert not call("submit_job").optional
    assert call("send_job_input").takes == "application/octet-stream"
    assert json.loads(call("submit_job").example)["command"] == ["make", "test"]
