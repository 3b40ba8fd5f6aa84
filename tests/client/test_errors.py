"""Errors of the client: sentences and exit codes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_client.errors import ApiError, ClientError, NotOurs, Unreachable, UsageError, faults
from remote_protocol.api import Problem, QueueCreate


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


def test_what_is_wrong_with_a_value_is_said_in_words() -> None:
    with pytest.raises(ValidationError) as caught:
        QueueCreate.model_validate({"name": "a b", "capacity": "much"})
    words = faults(caught.value)
    assert words[0] == "name: is 1 to 128 letters, digits, dots, hyphens or underscores"
