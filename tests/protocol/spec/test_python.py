"""Jobs of the kind `python`: a script or a module, with what it requires."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remote_protocol.api.jobs import JobView, view_of
from remote_protocol.spec import JobSpec, PythonSpec


def spec(**fields: Any) -> JobSpec:
    return JobSpec.model_validate_json(
        JobSpec.model_validate({"kind": "python", **fields}).short_json
    )


def test_a_script_with_requirements_is_the_same_after_the_wire() -> None:
    made = spec(script="print(1)", args=["a"], requirements=["B==1", "a", "b == 1"], python="3.12")
    assert isinstance(made, PythonSpec)
    assert made.requirements == ["a", "b==1"] and made.words == ["main.py", "a"]
    assert issubclass(view_of(PythonSpec), JobView)


def test_a_module() -> None:
    made = spec(module="http.server", args=["--help"])
    assert isinstance(made, PythonSpec) and made.words == ["-m", "http.server", "--help"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "a script or a module"),
        ({"script": "x", "module": "y"}, "a script or a module"),
        ({"script": "a\0"}, "cannot contain a NUL"),
        ({"script": "x", "filename": "../x.py"}, "filename"),
        ({"script": "x", "filename": "-c"}, "filename"),
        ({"module": "a; b"}, "module"),
        ({"module": "-m"}, "module"),
        ({"script": "x", "python": "2.7"}, "python"),
        ({"script": "x", "python": "3.11 -c"}, "python"),
        ({"script": "x", "requirements": ["-e ."]}, "is an option"),
        ({"script": "x", "command": ["ls"]}, "command"),
        ({"script": "x", "environment": "a", "requirements": ["b"]}, "leave requirements"),
        ({"script": "x", "environment": "a", "python": "3.12"}, "leave requirements"),
        ({"script": "x", "environment": "../a"}, "environment"),
        ({"script": "x", "preload": ["a; b"]}, "preload"),
        (
            {"module": "x", "preload": ["a"], "bundle": {"digest": "0" * 64, "size": 1}},
            "does not go with a bundle",
        ),
        ({"script": "x", "preload_env": ["A"], "env": {"A": ""}}, "there are none"),
        ({"script": "x", "preload": ["a"], "preload_env": ["A"]}, "'A', which is not in env"),
        ({"script": "x", "files": [{"path": "main.py", "content": ""}]}, "main.py is the script"),
    ],
)
def test_a_mistake_is_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        spec(**fields)


def test_what_a_warm_interpreter_needs_is_the_same_after_the_wire() -> None:
    made = spec(
        script="x", environment="airflow", preload=["a.b"], env={"A": "1"}, preload_env=["A"]
    )
    assert isinstance(made, PythonSpec)
    assert (made.environment, made.preload, made.preload_env) == ("airflow", ["a.b"], ["A"])
    assert "preload" not in spec(script="x").short_json
