"""The register of kinds: all that a server may offer, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.planning import command, python
from remote_agent.planning.kinds import OWN_FILES, PLANNERS, plan
from remote_agent.planning.paths import JobPaths
from remote_protocol.spec import CommandSpec, JobSpec

PATHS = JobPaths(Path("/a"), Path("/a/work"))
CONFIG = Config(state_dir=Path("/state"))


def test_every_kind_of_the_protocol_has_its_planner() -> None:
    assert set(PLANNERS) == set(JobSpec.kinds)
    assert {*command.OWN_FILES, *python.OWN_FILES} <= OWN_FILES


def test_a_job_is_planned_by_its_kind() -> None:
    spec = CommandSpec(command=["true"])
    assert plan(spec, PATHS, CONFIG) == command.plan(spec, PATHS, CONFIG)


def test_a_kind_that_is_newer_than_the_agent_is_named() -> None:
    spec = CommandSpec(command=["true"]).model_copy(update={"kind": "quantum"})
    with pytest.raises(ValueError, match="kind quantum need a newer agent"):
        plan(spec, PATHS, CONFIG)
