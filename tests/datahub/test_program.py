"""The program that runs a recipe, without DataHub: what it makes of reports, secrets and faults.
`tests/ingestion` has the real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from remote_datahub import program
from remote_datahub.report import report_of

SECRET = "r0undabout"


def started(folder: Path, payload: bytes, **env: str) -> subprocess.CompletedProcess[str]:
    """It runs as an agent runs it, where there is no acryl-datahub."""
    copy = folder / "extension.py"
    copy.write_text(Path(program.__file__).read_text())
    command = [sys.executable, "-I", "-u", str(copy)]
    done = subprocess.run(command, input=payload, env=env, capture_output=True, check=False)
    return subprocess.CompletedProcess(
        command, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def test_a_fault_of_the_recipe_is_the_reason_why_it_never_began(tmp_path: Path) -> None:
    secrets = json.dumps({"PW": SECRET}).encode()
    told = json.dumps({"fault": f"the recipe is bad: {SECRET}."}).encode()
    done = started(tmp_path, secrets + b"\n" + told + b"\n")
    assert done.returncode == program.NEVER_BEGAN
    assert done.stderr == "remote-agent: the recipe is bad: *****.\n"
    assert (tmp_path / "environment.failed").read_text() == "the recipe is bad: *****."


def test_an_environment_without_datahub_is_named(tmp_path: Path) -> None:
    told = json.dumps({"__recipe_yaml__": "a: b", "task": "RUN_INGEST"}).encode()
    done = started(tmp_path, told + b"\n")
    assert done.returncode == program.NEVER_BEGAN
    reason = (tmp_path / "environment.failed").read_text()
    assert "acryl-datahub cannot be loaded in this environment: No module named" in reason


REPORT: dict[str, Any] = {
    "source": {
        "type": "mysql",
        "report": {
            "events_produced": "1,031",
            "failures": [
                {"title": "Lost", "message": "gone\n away", "context": ["a", SECRET, "c", "d"]},
                "... sampled of 40 total elements",
            ],
            "warnings": [{"message": "odd", "total_count": 12}],
        },
    },
    "sink": {
        "type": "file",
        "report": {"total_records_written": 9, "failures": [], "warnings": []},
    },
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "artifacts").mkdir()
    monkeypatch.setenv("REMOTE_ARTIFACTS", str(tmp_path / "artifacts"))
    monkeypatch.setenv("REMOTE_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path


def told(
    folder: Path, report: dict[str, Any], test: bool = False, code: int = 0
) -> tuple[Any, int]:
    hide = program.hider([SECRET])
    code = program.tell(report, test, code, 4.25, hide)
    lines = (folder / "outputs").read_text().splitlines()
    return report_of(dict(line.split("=", 1) for line in lines)), code


def test_a_report_becomes_outputs_and_an_artifact(folder: Path) -> None:
    report, code = told(folder, REPORT, code=1)
    assert code == 1 and report.status == "FAILURE"
    assert dict(report.figures) == {
        "Source": "mysql",
        "Sink": "file",
        "Events read": "1031",
        "Records written": "9",
        "Failures": "4",
        "Warnings": "12",
        "Ran": "4.2 s",
    }
    assert report.findings[0].context == "a; *****; c" and report.findings[1].title == "odd"
    assert report.findings[0].message == "gone away"
    kept = (folder / "artifacts" / program.REPORT).read_text()
    assert SECRET not in kept and json.loads(kept)["source"]["type"] == "mysql"


@pytest.mark.parametrize(
    ("code", "failures", "status"),
    [(0, [], "SUCCESS"), (1, [], "FAILURE"), (143, [], "CANCELLED"), (0, ["x"], "FAILURE")],
)
def test_the_status(code: int, failures: list[str], status: str) -> None:
    report = {"source": {"report": {"failures": failures}}}
    assert program.of_ingestion(report, code)["status"] == status


def test_connections(folder: Path) -> None:
    good: dict[str, Any] = {"basic_connectivity": {"capable": True}}
    good["capability_report"] = {"Lineage": {"capable": False, "failure_reason": "no right"}}
    report, code = told(folder, good, test=True)
    assert (report.status, code) == ("CONNECTED", 0)
    assert report.findings[0].title == "Lineage" and not report.findings[0].failed
    (folder / "outputs").unlink()
    bad = {"basic_connectivity": {"capable": False, "failure_reason": f"refused {SECRET}"}}
    report, code = told(folder, bad, test=True)
    assert (report.status, code) == ("NOT_CONNECTED", 1)
    assert report.findings[0].message == "refused *****"
    assert program.of_connection({"internal_failure": True})["status"] == "NOT_CONNECTED"


def test_a_flood_of_findings_stays_within_an_output() -> None:
    many = [program._entry("t" * 500, "m" * 500) for _ in range(1000)]
    assert len(program.findings(many, many)) <= 24 * 1024
    assert program.findings([], []) == ""


def test_reports_of_older_versions() -> None:
    assert program.entries({"warnings": {"key": ["a", "b"]}}, "warnings")[0]["message"] == "a; b"
    assert program.entries({"warnings": 3}, "warnings") == []


def test_versions_that_take_no_secrets_beside_a_recipe_get_them_in_it() -> None:
    recipe = "a: ${X} and ${Y}\nb: [{c: 'p${X}'}]\n"
    made = json.loads(program._resolved(recipe, {"X": "1\n: 2"}))
    assert made == {"a": "1\n: 2 and ${Y}", "b": [{"c": "p1\n: 2"}]}


def test_the_report_is_in_memory() -> None:
    with program.ReportFile() as place:
        assert place.read() is None
        with open(place.path, "w") as file:
            json.dump({"a": 1}, file)
        assert place.read() == {"a": 1}
        assert os.path.exists(place.path) and place.path.startswith("/proc/self/fd/")
