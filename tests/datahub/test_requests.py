"""Requests as acryl-executor's own models write them, and what is refused of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from remote_datahub.recipe import MAX_RECIPE
from remote_datahub.requests import (
    MAX_LISTS,
    MAX_VARIABLES,
    ExecutionRequest,
    SignalRequest,
    is_secret,
    parsed,
    recipe_of,
)

RECIPE = {"source": {"type": "postgres", "config": {"password": "${PG_PASSWORD}"}}}


def request(**args: Any) -> ExecutionRequest:
    """A request with these arguments, read from JSON as a call reads it."""
    given = {"recipe": json.dumps(RECIPE), **args}
    text = json.dumps({"exec_id": "e1", "name": "RUN_INGEST", "args": given})
    return ExecutionRequest.model_validate_json(text)


def why(**args: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        request(**args)
    return str(refused.value)


def test_what_is_left_out_has_acryl_executors_defaults() -> None:
    asked = ExecutionRequest.model_validate(
        {"name": "TEST_CONNECTION", "args": {"recipe": json.dumps(RECIPE)}}
    )
    assert (asked.executor_id, asked.exec_id) == (None, None), "the pool is the server's default"
    assert (asked.args.version, asked.args.debug_mode) == ("latest", False)
    assert (asked.args.extra_pip_plugins, asked.args.extra_env_vars) == ([], {})
    assert asked.identified("made").exec_id == "made"
    assert request().identified("made").exec_id == "e1"


def test_fields_that_acryl_executor_adds_or_ignores_are_no_fault() -> None:
    asked = ExecutionRequest.model_validate(
        {
            "name": "RUN_INGEST",
            "args": {"recipe": json.dumps(RECIPE), "urn": "urn:li:x", "run_id": 4},
            "progress_callback": None,
            "start_time": "2026-11-27T12:00:00Z",
        }
    )
    assert asked.args.recipe == json.dumps(RECIPE)


@pytest.mark.parametrize("debug", ["true", "True", " TRUE ", True])
@pytest.mark.parametrize("name", ["debug_mode", "debugMode"])
def test_debug_mode_is_a_text_or_a_truth_value_under_both_names(name: str, debug: object) -> None:
    assert request(**{name: debug}).args.debug_mode is True
    assert request(**{name: "false"}).args.debug_mode is False


def test_lists_and_objects_may_come_as_texts() -> None:
    args = request(
        extra_pip_requirements='["pandas==2.2"]',
        extra_pip_plugins=["s3"],
        extra_env_vars='{"LEVEL": "info", "EMPTY": ""}',
    ).args
    assert args.extra_pip_requirements == ["pandas==2.2"]
    assert args.extra_pip_plugins == ["s3"]
    assert args.extra_env_vars == {"LEVEL": "info"}
    nothing = request(extra_pip_requirements="", extra_pip_plugins=None, extra_env_vars=" ").args
    assert (nothing.extra_pip_requirements, nothing.extra_env_vars) == ([], {})


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"extra_pip_plugins": "[" + " " * MAX_LISTS + "]"}, "at most 256 KiB"),
        ({"extra_pip_plugins": "{"}, "it is not JSON: "),
        ({"extra_pip_plugins": '"a"'}, "valid array"),
        ({"extra_pip_plugins": ["x" * 2000]}, "at most 1024"),
        ({"extra_pip_requirements": [f"p{n}" for n in range(2001)]}, "at most 2000"),
        ({"extra_env_vars": "[1]"}, "an object"),
        ({"extra_env_vars": {"A": 1}}, "valid string"),
        ({"extra_env_vars": {f"V{n}": "x" for n in range(MAX_VARIABLES + 1)}}, "at most 256"),
        ({"recipe": "x" * (MAX_RECIPE + 1)}, "at most"),
        ({"recipe": {"source": {}}}, "valid string"),
        ({"version": "1" * 100}, "at most 64"),
    ],
)
def test_every_field_has_a_bound(args: dict[str, Any], said: str) -> None:
    assert said in why(**args)


def test_json_in_a_text_is_bounded_before_it_is_parsed() -> None:
    deep = "[" * 40_000
    with pytest.raises(ValueError, match="nested too deeply"):
        parsed(deep + "]" * 40_000, MAX_LISTS, "it")
    for text in ("NaN", "[1e999999, Infinity]", "9" * 6000):
        with pytest.raises(ValueError, match="a number that is none, or is too long"):
            parsed(text, MAX_LISTS, "it")
    # As acryl-executor takes it: a line end inside a text.
    assert parsed('{"a": "b\nc"}', MAX_LISTS, "it") == {"a": "b\nc"}


def test_no_fault_repeats_a_value() -> None:
    hidden = "correct-horse-battery"
    for args in (
        {"extra_env_vars": {"DB_PASSWORD": hidden}},
        {"extra_env_vars": json.dumps({"DB_PASSWORD": hidden})},
        {"extra_env_vars": {"A": [hidden]}},
        {"extra_env_vars": '{"A": "' + hidden},
        {"version": hidden * 9},
        {"extra_pip_requirements": hidden},
    ):
        assert hidden not in why(**args)
    with pytest.raises(ValueError) as refused:
        recipe_of(request(recipe='{"source": "' + hidden + '" }'))
    assert hidden not in str(refused.value)


def test_a_secret_in_plain_text_is_refused_by_its_name() -> None:
    said = why(extra_env_vars={"SNOWFLAKE_PASSWORD": "correct-horse"})
    assert "SNOWFLAKE_PASSWORD looks like a secret in plain text" in said
    assert "write ${NAME} here" in said
    kept = {"SNOWFLAKE_PASSWORD": "${SNOWFLAKE_PASSWORD_2}", "LEVEL": "info"}
    assert request(extra_env_vars=kept).args.extra_env_vars == kept


@pytest.mark.parametrize(
    ("name", "text", "secret"),
    [
        ("DB_PASSWORD", "x", True),
        ("db_passwd", "x", True),
        ("GITHUB_TOKEN", "x", True),
        ("AWS_SECRET_ACCESS_KEY", "x", True),
        ("API_KEY", "x-${A}", True),
        ("AWS_ACCESS_KEY_ID", "x", False),
        ("TOKEN_FILE", "/run/t", False),
        ("SECRET_NAME", "x", False),
        ("API_KEY", "${A}", False),
        ("DATAHUB_ENABLE_SECRET_MASKING", "true", False),
        ("MONKEY", "x", False),
    ],
)
def test_what_looks_like_a_secret(name: str, text: str, secret: bool) -> None:
    assert is_secret(name, text) is secret


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ("[]", "not a JSON object"),
        ("source: {type: x}", "the recipe is not JSON: Expecting value in line 1, column 1"),
        ('{"sink": {}}', "names no source"),
        ('{"source": {"type": 4}}', "names no source"),
    ],
)
def test_what_is_no_recipe(recipe: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        recipe_of(request(recipe=recipe))


def test_the_run_has_the_executions_id() -> None:
    assert recipe_of(request()) == {**RECIPE, "run_id": "e1"}


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        ({"exec_id": "e1", "signal": "STOP"}, "KILL"),
        ({"exec_id": "", "signal": "KILL"}, "at least 1"),
        ({"exec_id": "e" * 256, "signal": "KILL"}, "at most 255"),
        ({"signal": "KILL"}, "required"),
    ],
)
def test_signals_are_bounded(signal: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SignalRequest.model_validate(signal)
