"""Errors as problem details."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.problems import Problem


def test_a_problem_names_its_code() -> None:
    problem = Problem.model_validate({"title": "Not found", "status": 404, "code": "not_found"})
    assert problem.type == "about:blank"
    with pytest.raises(ValidationError, match="code"):
        Problem.model_validate({"title": "Not found", "status": 404})
