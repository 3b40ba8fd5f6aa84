"""Errors of the client: sentences and exit codes."""

from __future__ import annotations

from remote_client.errors import ApiError, ClientError, NotOurs, Unreachable, UsageError
from remote_protocol.api import Problem


def test_exit_codes() -> None:
    assert issubclass(NotOurs, Unreachable)
    assert (ClientError.exit_code, UsageError.exit_code, Unreachable.exit_code) == (1, 2, 1)


def test_a_problem_without_detail_shows_its_title() -> None:
    error = ApiError(Problem(title="Not found", status=404, code="not_found"))
    assert (str(error), error.code, error.status) == ("Not found", "not_found", 404)


def test_every_fault_has_its_line() -> None:
    faults = [{"field": "a", "message": "is bad"}, {"field": "b", "message": "too"}]
    problem = Problem(title="t", status=422, code="validation", detail="Bad:", errors=faults)
    assert str(ApiError(problem)) == "Bad:\n  a: is bad\n  b: too"
