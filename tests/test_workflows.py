"""The workflows for a hosted CI, which nobody has run yet: what can be known without one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = ROOT / ".github" / "workflows" / "release.yml"
Workflow = dict[str, Any]


def read(file: Path) -> Workflow:
    found: Workflow = yaml.safe_load(file.read_text())
    return found


def scripts(workflow: Workflow) -> Iterator[tuple[str, str]]:
    """Each script with the shell that runs it."""
    for job in workflow["jobs"].values():
        windows = str(job.get("runs-on", "")).startswith("windows")
        for step in job.get("steps", []):
            if "run" in step:
                yield str(step.get("shell", "powershell" if windows else "bash")), step["run"]


def plain(script: str) -> str:
    """What GitHub would fill in becomes a word."""
    return re.sub(r"\$\{\{.*?\}\}", "filled-in", script)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_scripts_are_correct_and_what_they_name_is_there(file: Path) -> None:
    found = list(scripts(read(file)))
    assert found
    targets = re.findall("^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for shell, script in found:
        text = plain(script)
        if "bash" in shell:
            done = subprocess.run(["bash", "-n", "-c", text], capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
        for target in re.findall(r"\bmake ([a-z-]+)", text):
            assert target in targets or target == "filled-in", target
        for path in re.findall(r"(?:\./)?((?:tests|installers|requirements)[/\\][\w./\\-]+)", text):
            assert (ROOT / path.replace("\\", "/")).exists(), path


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_no_job_may_write_but_the_one_that_publishes(file: Path) -> None:
    workflow = read(file)
    assert workflow["permissions"] == {"contents": "read"}
    others = {
        name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job
    }
    expected = {"publish": {"contents": "write"}} if file == RELEASE else {}
    assert others == expected


def test_a_release_is_published_after_every_other_job_and_for_a_tag_only() -> None:
    jobs = read(RELEASE)["jobs"]
    publish = jobs.pop("publish")
    assert set(publish["needs"]) == set(jobs) and publish["if"] == "github.ref_type == 'tag'"
    assert "secrets." not in str(jobs), "no other job sees the key"
    for stage in jobs["linux-hosts"]["strategy"]["matrix"]["stage"]:
        assert f"\n{stage}: " in (ROOT / "Makefile").read_text()


def test_a_release_calls_the_workflow_of_windows() -> None:
    called = read(RELEASE)["jobs"]["windows"]["uses"]
    # YAML 1.1 takes the word `on` for a truth value, so the text says it.
    assert "\n  workflow_call:\n" in (ROOT / called).read_text()


def test_the_script_for_a_mac_is_correct() -> None:
    script = ROOT / "tests" / "macos" / "real.sh"
    subprocess.run(["bash", "-n", script], check=True)
