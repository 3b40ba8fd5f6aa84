"""The specification of DataHub jobs: what is taken, and which secrets a recipe names."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import ValidationError

from remote_datahub.recipe import MAX_RECIPE
from remote_datahub.spec import DatahubSpec, references
from remote_protocol.api.jobs import JobView, view_of
from remote_protocol.spec import JobSpec

RECIPE = """\
source:
  type: mysql
  config:
    # not ${THIS_ONE}
    host_port: ${MYSQL_HOST}:3306
    password: "${MYSQL_PASSWORD}"
sink:
  type: file
  config: {filename: "${REMOTE_ARTIFACTS}/out.json"}
"""


def spec(recipe: str = RECIPE, **fields: Any) -> DatahubSpec:
    found = JobSpec.model_validate({"kind": "datahub", "recipe": recipe, **fields})
    assert isinstance(found, DatahubSpec)
    return found


def fault(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        spec(**fields)
    (one,) = caught.value.errors()
    return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"


def test_a_recipe_is_enough() -> None:
    made = spec()
    assert (made.task, made.version, made.plugins, made.debug) == ("RUN_INGEST", None, [], False)
    assert made.grace_period == 60.0
    assert issubclass(view_of(DatahubSpec), JobView)
    assert JobSpec.model_validate_json(made.short_json) == made
    assert '"grace_period"' not in made.short_json


def test_the_secrets_are_those_that_the_recipe_names() -> None:
    assert spec().secrets == ["MYSQL_HOST", "MYSQL_PASSWORD"]
    made = spec(secrets=["MYSQL_PASSWORD", "OTHER"], env={"MYSQL_HOST": "db"})
    assert made.secrets == ["MYSQL_PASSWORD", "OTHER"]
    assert JobSpec.model_validate_json(made.short_json) == made


def test_what_counts_as_a_reference() -> None:
    assert references("${A} ${B}${A} $C ${D:-x} ${1} ${} $${E} ${é} # ${F}\n  # ${G}") == [
        *("A", "B", "E", "F"),
    ]
    assert references("${REMOTE_WORK_DIR}") == []
    assert references("${" + "A" * 129 + "}") == []


def test_more_secrets_than_a_job_has() -> None:
    recipe = " ".join(f"${{S{number}}}" for number in range(65))
    assert "at most 64 secrets, not 65" in fault(recipe=recipe)


def test_bounds() -> None:
    assert "recipe" in fault(recipe="")
    assert "recipe" in fault(recipe="x" * (MAX_RECIPE + 1))
    assert len(spec(recipe="x" * MAX_RECIPE).recipe) == MAX_RECIPE
    assert "NUL" in fault(recipe="a\0b")
    assert "task" in fault(task="DELETE")
    assert "version" in fault(version="--pre")
    assert "environment" in fault(environment="../x")
    assert "plugins" in fault(plugins=["a"] * 65)
    assert "plugins" in fault(plugins=["x" * 300])
    for name in ("-e", "a b", "a[b]", "../x", "", "x" * 100):
        assert "no plugin of DataHub" in fault(plugins=[name])
    assert "no requirement" in fault(requirements=["a b"])
    assert "an option" in fault(requirements=["--pre"])


def test_equal_environments_are_written_equally() -> None:
    made = spec(plugins=["DataHub_REST", "mysql", "mysql"], requirements=["B", "a>=1"])
    assert made.plugins == ["datahub-rest", "mysql"]
    assert made.requirements == ["a>=1", "b"]


def test_a_prepared_environment_is_taken_as_it_is() -> None:
    assert spec(environment="nightly").environment == "nightly"
    for more in ({"version": "1.7.0"}, {"plugins": ["mysql"]}, {"requirements": ["a"]}):
        assert "leave out version" in fault(environment="nightly", **more)


@pytest.mark.parametrize("field", ["secrets", "env"])
@pytest.mark.parametrize("value", [3, None, "x"])
def test_a_field_of_another_type_is_named(field: str, value: object) -> None:
    assert fault(**{field: value}).startswith(f"{field}: ")


@pytest.mark.parametrize("field", ["secrets", "secret_files"])
def test_many_names_times_many_names_take_no_time(field: str) -> None:
    """Compared with each other, these would keep a server busy for a minute."""
    recipe = " ".join(f"${{N{number}}}" for number in range(25_000))
    began = time.process_time()
    with pytest.raises(ValidationError, match="a job has at most 64 secrets"):
        spec(recipe, **{field: ["M"] * 25_000})
    assert time.process_time() - began < 3
