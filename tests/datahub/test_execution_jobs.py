"""The job that an execution request asks for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from remote_datahub.execution_jobs import spec_of
from remote_datahub.requests import ExecutionRequest
from remote_datahub.spec import DatahubSpec

RECIPE: dict[str, Any] = {
    "source": {"type": "postgres", "config": {"password": "${PG_PASSWORD}"}},
    "pipeline_name": "urn:li:dataHubIngestionSource:nightly",
}


def spec(name: str = "RUN_INGEST", **args: Any) -> DatahubSpec:
    given = {"recipe": json.dumps(RECIPE), **args}
    request = {"executor_id": "berlin", "exec_id": "e1", "name": name, "args": given}
    return spec_of(ExecutionRequest.model_validate(request))


def test_a_request_becomes_a_job_of_the_kind_datahub() -> None:
    found = spec(
        "TEST_CONNECTION",
        version="1.2.0.3",
        debug_mode="true",
        extra_pip_requirements=["pandas==2.2"],
        extra_pip_plugins='["s3"]',
    )
    assert (found.kind, found.task, found.queue) == ("datahub", "TEST_CONNECTION", "berlin")
    assert (found.version, found.debug, found.environment) == ("1.2.0.3", True, None)
    assert (found.requirements, found.plugins) == (["pandas==2.2"], ["s3"])
    assert found.idempotency_key == "e1"
    assert found.annotations == {"datahub.exec_id": "e1"}
    assert found.name == "nightly"
    assert json.loads(found.recipe) == {**RECIPE, "run_id": "e1"}
    assert found.secrets == ["PG_PASSWORD"]


def test_a_request_without_a_pool_names_no_queue() -> None:
    asked: dict[str, Any] = {"exec_id": "e", "name": "RUN_INGEST"}
    asked["args"] = {"recipe": '{"source": {"type": "file"}}'}
    without, named = (
        spec_of(ExecutionRequest.model_validate(asked | more))
        for more in ({}, {"executor_id": "default"})
    )
    assert (without.names_queue, named.names_queue) == (False, True)


def test_a_recipe_without_a_pipeline_is_called_by_its_source() -> None:
    assert spec(recipe='{"source": {"type": "mysql"}}').name == "RUN_INGEST mysql"


@pytest.mark.parametrize("version", ["latest", "", " latest "])
def test_the_latest_version_is_the_agents_own_choice(version: str) -> None:
    assert spec(version=version).version is None


@pytest.mark.parametrize("version", ["native", "bundled"])
def test_versions_that_the_host_has_are_prepared_environments(version: str) -> None:
    found = spec(version=version)
    assert (found.environment, found.version) == (version, None)


def test_variables_and_their_secrets() -> None:
    found = spec(extra_env_vars={"URL": "db://${USER_PART}@x", "LEVEL": "info", "E": "${LEVEL}"})
    assert found.env == {"URL": "db://${USER_PART}@x", "LEVEL": "info", "E": "${LEVEL}"}
    assert set(found.secrets) == {"USER_PART", "PG_PASSWORD"}


def test_what_users_set_for_a_source_becomes_its_limits() -> None:
    found = spec(
        extra_env_vars={"EXECUTOR_TASK_WEIGHT": "1.0", "EXECUTOR_TASK_MEMORY_LIMIT": "4000000"}
    )
    assert (found.weight, found.memory_limit) == (1.0, 4_096_000_000)
    assert found.env == {}


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"EXECUTOR_TASK_WEIGHT": "2"}, "EXECUTOR_TASK_WEIGHT in extra_env_vars is a number above"),
        ({"EXECUTOR_TASK_WEIGHT": "nan"}, "not 'nan'"),
        ({"EXECUTOR_TASK_MEMORY_LIMIT": "4GB"}, "a number of KB, from 1024, not '4GB'"),
        ({"EXECUTOR_TASK_MEMORY_LIMIT": "12"}, "a number of KB, from 1024, not '12'"),
    ],
)
def test_limits_that_are_none(env: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        spec(extra_env_vars=env)


@pytest.mark.parametrize(
    ("args", "field"),
    [
        ({"extra_pip_requirements": ["git+https://example.org/x"]}, "requirements"),
        ({"extra_pip_plugins": ["no plugin!"]}, "plugins"),
        ({"version": "../etc"}, "version"),
        ({"extra_env_vars": {"A=B": "x"}}, "env"),
        ({"version": "native", "extra_pip_plugins": ["s3"]}, "leave out version"),
    ],
)
def test_what_a_job_may_not_have_is_refused(args: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        spec(**args)
