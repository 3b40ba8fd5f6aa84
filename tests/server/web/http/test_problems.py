"""Errors as problem documents."""

from __future__ import annotations

import json

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import BaseModel, ValidationError

from remote_protocol.api.problems import Problem
from remote_protocol.errors import ErrorCode
from remote_server.errors import (
    Conflict,
    NameTaken,
    NotFound,
    Refused,
    ServerError,
    StoreUnavailable,
    UnknownQueue,
)
from remote_server.web.http import problems
from remote_server.web.http.problems import ApiProblem


class Thing(BaseModel):
    size: int
    parts: list[int] = []


@pytest.mark.parametrize("code", ErrorCode)
def test_every_code_has_a_status_and_a_document(code: ErrorCode) -> None:
    response = ApiProblem(code, "because", headers={"X-Y": "z"}).response()
    assert isinstance(response.body, bytes)
    document = Problem.model_validate(json.loads(response.body))
    assert (document.code, document.status, document.detail) == (code, response.status, "because")
    assert response.content_type == "application/problem+json"
    assert response.headers["X-Y"] == "z"
    assert ("WWW-Authenticate" in response.headers) is (response.status == 401)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("job", "x"), 404),
        (UnknownQueue("x", ["a"]), 422),
        (Conflict("no"), 409),
        (NameTaken("no"), 409),
        (StoreUnavailable("away"), 503),
        (Refused(ErrorCode.USED_TOKEN, "used"), 401),
        (Refused(ErrorCode.FORBIDDEN, "no"), 403),
    ],
)
def test_errors_of_the_store(error: ServerError, status: int) -> None:
    found = problems.from_server_error(error)
    assert found is not None
    assert (found.status, found.code, found.detail) == (status, error.code, str(error))
    assert ("Retry-After" in found.headers) is (status == 503)


def test_a_bug_is_no_fault_of_the_request() -> None:
    assert problems.from_server_error(ServerError("oops")) is None


def test_all_faults_are_said() -> None:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate({"size": "x", "parts": [1, "y"]})
    found = problems.from_validation(caught.value)
    assert [fault["field"] for fault in found.errors] == ["size", "parts.1"]
    many = problems.validation((f"f{n}", "is wrong") for n in range(9))
    assert len(many.errors) == 9
    assert many.detail.endswith("and 4 more")


def test_a_body_that_is_no_json_is_a_bad_request() -> None:
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate_json("{")
    found = problems.from_validation(caught.value)
    assert found.code is ErrorCode.BAD_REQUEST
    assert found.detail.startswith("the body is not JSON: ")


def test_what_the_web_server_raises_itself() -> None:
    request = make_mocked_request("GET", "/nowhere")
    cases = {
        web.HTTPNotFound(): ErrorCode.NOT_FOUND,
        web.HTTPMethodNotAllowed("GET", {"POST"}): ErrorCode.METHOD_NOT_ALLOWED,
        web.HTTPRequestEntityTooLarge(1, 2): ErrorCode.BODY_TOO_LARGE,
        web.HTTPBadRequest(text="odd"): ErrorCode.BAD_REQUEST,
    }
    for error, code in cases.items():
        found = problems.from_http_exception(error, request)
        assert found is not None
        assert found.code is code
    assert problems.from_http_exception(web.HTTPInternalServerError(), request) is None
