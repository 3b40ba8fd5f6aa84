"""The register of kinds: all that a server may offer, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.planning import command, python
from remote_agent.planning.engine import Engine
from remote_agent.planning.kinds import EXTENSION_FILE, OWN_FILES, PLANNERS, plan, special
from remote_agent.planning.paths import JobPaths
from remote_agent.planning.work import NotAllowed
from remote_agent.sections import ContainersPart
from remote_protocol import extensions
from remote_protocol.spec import CommandSpec, JobSpec
from tests.support.extensions import installed, toy

__all__ = ["toy"]

PATHS = JobPaths("/a", "/a/work")
CONFIG = Config(state_dir=Path("/state"))


def test_every_kind_of_the_protocol_has_its_planner() -> None:
    assert set(PLANNERS) == set(JobSpec.kinds) - extensions.names()
    assert {*command.OWN_FILES, *python.OWN_FILES} <= OWN_FILES


def test_a_job_is_planned_by_its_kind() -> None:
    spec = CommandSpec(command=["true"])
    assert plan(spec, PATHS, CONFIG) == command.plan(spec, PATHS, CONFIG)


def test_a_kind_that_is_newer_than_the_agent_is_named() -> None:
    spec = CommandSpec(command=["true"]).model_copy(update={"kind": "quantum"})
    with pytest.raises(ValueError, match="kind quantum need a newer agent"):
        plan(spec, PATHS, CONFIG)


@pytest.mark.usefixtures("toy")
def test_an_extension_plans_its_own_kind() -> None:
    work = plan(JobSpec.model_validate({"kind": "toy", "greeting": "hi"}), PATHS, CONFIG)
    assert work.argv == ["python3", f"/a/{EXTENSION_FILE}", "hi"]
    assert [file.path for file in work.files if file.own] == [EXTENSION_FILE]
    assert EXTENSION_FILE in OWN_FILES


def test_an_extension_without_a_planner_or_with_a_broken_one_is_named(tmp_path: Path) -> None:
    folder = tmp_path / extensions.NAMESPACE
    folder.mkdir()
    head = "from remote_protocol.extensions import Extension\n"
    (folder / "bare.py").write_text(f"{head}EXTENSION = Extension()\n")
    (folder / "bad.py").write_text(f"{head}EXTENSION = Extension(planner='nothing_such')\n")
    spec = CommandSpec(command=["true"])
    with installed(tmp_path):
        with pytest.raises(ValueError, match="kind bare need a newer agent"):
            plan(spec.model_copy(update={"kind": "bare"}), PATHS, CONFIG)
        with pytest.raises(NotAllowed, match=r"extension bad cannot be loaded: .*nothing_such"):
            plan(spec.model_copy(update={"kind": "bad"}), PATHS, CONFIG)


@pytest.mark.usefixtures("toy")
def test_the_kinds_that_not_every_agent_runs_are_told_without_loading_them() -> None:
    engine = Engine("/usr/bin/docker", {}, "one", ContainersPart())
    assert special(None) == ["datahub", "toy"]
    assert special(engine) == ["container", "datahub", "toy"]
    assert "toy" not in JobSpec.kinds
