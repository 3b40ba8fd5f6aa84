"""How recipes are run: in which environment, with which payload, and where secrets go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from remote_agent.config import Config
from remote_agent.planning.kinds import EXTENSION_FILE, plan
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import NotAllowed, Work
from remote_agent.sections import PythonPart
from remote_agent.shim.layout import NEVER_BEGUN
from remote_datahub.planner import VERSION, payload_secrets
from remote_datahub.spec import DatahubSpec

RECIPE = "source: {type: mysql, config: {password: '${PW}'}}\nsink: {type: datahub-rest}\n"
PATHS = JobPaths("/a", "/a/work")
READY = {"nightly": "/opt/nightly"}
CONFIG = Config(state_dir=Path("/state"), python=PythonPart.model_validate({"environments": READY}))


def planned(config: Config = CONFIG, **fields: Any) -> Work:
    return plan(DatahubSpec.model_validate({"recipe": RECIPE, **fields}), PATHS, config)


def required(work: Work) -> list[str]:
    (file,) = [file for file in work.files if file.path == "environment.json"]
    found: list[str] = json.loads(file.data)["requirements"]
    return found


def test_the_environment_follows_from_plugins_version_and_requirements() -> None:
    assert required(planned()) == [f"acryl-datahub[datahub-rest,mysql]=={VERSION}"]
    more = planned(version="1.6.0", plugins=["snowflake"], requirements=["pandas<3"])
    assert required(more) == ["acryl-datahub[snowflake]==1.6.0", "pandas<3"]
    versions = PythonPart.model_validate({"versions": {"acryl-datahub": "1.5.0"}})
    set_otherwise = Config(state_dir=Path("/state"), python=versions)
    assert required(planned(set_otherwise)) == ["acryl-datahub[datahub-rest,mysql]==1.5.0"]


def test_the_program_lies_beside_and_reads_the_recipe_from_its_input() -> None:
    work = planned(debug=True, task="TEST_CONNECTION")
    assert work.argv[-2:] == ["-u", f"/a/{EXTENSION_FILE}"]
    (program,) = [file for file in work.files if file.path == EXTENSION_FILE]
    assert program.own and b"def main()" in program.data
    told = json.loads(work.payload)
    assert told["__recipe_yaml__"] == RECIPE and told["__debug_mode__"] == "true"
    assert told["task"] == "TEST_CONNECTION"
    assert work.options == {NEVER_BEGUN: "/a/environment.failed"}


def test_secrets_of_the_recipe_come_before_it_and_are_no_variables() -> None:
    spec = DatahubSpec.model_validate({"recipe": RECIPE, "secrets": ["OTHER"]})
    assert payload_secrets(spec) == ("PW",)
    assert planned().payload_secrets == ("PW",) and planned().secrets == ()


def test_a_prepared_environment_is_used_as_it_is() -> None:
    work = planned(environment="nightly")
    assert work.argv[0] == "/opt/nightly/bin/python"
    assert [file.path for file in work.files] == [EXTENSION_FILE]
    with pytest.raises(NotAllowed, match="no environment 'weekly': it has nightly"):
        planned(environment="weekly")


@pytest.mark.parametrize(
    ("recipe", "words"),
    [("source: {type: [", "not YAML"), ("- a", "a list"), ("sink: {type: a}", "no source")],
)
def test_what_is_no_recipe_ends_before_any_environment_is_made(recipe: str, words: str) -> None:
    work = planned(recipe=recipe)
    assert words in json.loads(work.payload)["fault"]
    assert [file.path for file in work.files] == [EXTENSION_FILE]
