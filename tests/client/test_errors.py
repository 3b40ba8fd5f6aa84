"""Errors of the client: sentences and exit codes."""

from __future__ import annotations

from remote_client.errors import ApiError, ClientError, NotOurs, Unreachable, UsageError


def test_exit_codes() -> None:
    assert issubclass(NotOurs, Unreachable)
    assert (ClientError.exit_code, UsageError.exit_code, Unreachable.exit_code) == (1, 2, 1)


def test_a_problem_without_detail_shows_its_title() -> None:
    error = ApiError({"title": "Not found", "status": 404, "code": "not_found"})
    assert (str(error), error.code, error.status) == ("Not found", "not_found", 404)


def test_every_fault_has_its_line() -> None:
    faults = [{"field": "a", "message": "is bad"}, {"field": "b", "message": "too"}]
    problem = {"title": "t", "status": 422, "code": "validation", "detail": "Bad:"}
    error = ApiError({**problem, "errors": faults})
    assert str(error) == "Bad:\n  a: is bad\n  b: too"
    assert error.faults == [("a", "is bad"), ("b", "too")]


def test_a_problem_of_odd_values_is_a_sentence_all_the_same() -> None:
    error = ApiError({"status": "many", "code": 7, "errors": [1, {"field": None}]})
    assert (error.code, error.status, error.faults) == ("7", 0, [("None", "")])
    assert str(ApiError({"code": "x", "errors": "none"})) == "x"
