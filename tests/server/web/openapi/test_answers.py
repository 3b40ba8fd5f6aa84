"""What a call may answer follows from what it takes, and from what it says itself."""

from __future__ import annotations

from pydantic import BaseModel

from remote_protocol.errors import ErrorCode
from remote_server.web.access import ENROL, PUBLIC, VIEWER
from remote_server.web.application import ROUTES
from remote_server.web.http.problems import STATUS
from remote_server.web.openapi.answers import problems, refusals, responses
from remote_server.web.route import PageQuery, Route


class Body(BaseModel):
    """A body."""


def codes(route: Route) -> set[ErrorCode]:
    return set(refusals(route))


def test_a_public_call_is_refused_for_want_of_nothing() -> None:
    found = codes(Route("GET", "/x", PUBLIC))
    assert found.isdisjoint({ErrorCode.MISSING_TOKEN, ErrorCode.NOT_FOUND, ErrorCode.VALIDATION})


def test_a_token_a_path_a_query_and_a_body_bring_their_refusals() -> None:
    plain = codes(Route("GET", "/x", PUBLIC))
    guarded = codes(Route("GET", "/x", VIEWER)) - plain
    assert guarded >= {ErrorCode.MISSING_TOKEN, ErrorCode.FORBIDDEN, ErrorCode.WRONG_TOKEN_KIND}
    assert codes(Route("GET", "/x/{id}", PUBLIC)) - plain == {ErrorCode.NOT_FOUND}
    assert codes(Route("GET", "/x", PUBLIC, query=PageQuery)) - plain == {ErrorCode.VALIDATION}
    with_body = codes(Route("POST", "/x", PUBLIC, body=Body)) - plain
    assert with_body >= {ErrorCode.VALIDATION, ErrorCode.BODY_TOO_LARGE, ErrorCode.REQUEST_TIMEOUT}
    binary = codes(Route("PATCH", "/x", PUBLIC, takes="application/octet-stream"))
    assert ErrorCode.BODY_TOO_LARGE in binary
    assert ErrorCode.USED_TOKEN in codes(Route("POST", "/x", ENROL))


def test_they_are_in_the_order_of_their_statuses() -> None:
    found = [STATUS[code] for code in refusals(Route("POST", "/x/{id}", VIEWER, body=Body))]
    assert found == sorted(found)


def test_successes_come_first_with_their_headers() -> None:
    route = Route(
        "POST",
        "/x",
        PUBLIC,
        answer=Body,
        status=201,
        also=((200, "It was there"),),
        gives=("Location",),
    )
    found = responses(route, {"type": "object"})
    assert list(found)[:2] == ["200", "201"]
    assert found["200"]["description"] == "It was there"
    assert found["201"]["content"] == {"application/json": {"schema": {"type": "object"}}}
    assert found["201"]["headers"]["Location"]["description"]


def test_every_refusal_of_every_call_is_said_in_words() -> None:
    shared = problems({})
    for route in ROUTES:
        for code in refusals(route):
            assert f"`{code}`: " in shared[f"Problem{STATUS[code]}"]["description"], code


def test_whoever_is_asked_to_wait_is_told_how_long() -> None:
    shared = problems({})
    assert "Retry-After" in shared["Problem503"]["headers"]
    assert "WWW-Authenticate" in shared["Problem401"]["headers"]
