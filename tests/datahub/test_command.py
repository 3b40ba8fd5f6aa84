"""`remotectl datahub`: what is submitted, what is refused before, and reports as people see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remote_datahub.spec import DatahubSpec
from tests.client.conftest import api, clean_environment, ctl, usual_signals
from tests.datahub.test_report import OUTPUTS
from tests.support.fake_api import ID, Answer, FakeApi, job_view

__all__ = ["api", "clean_environment", "ctl", "usual_signals"]
RECIPE = "source: {type: mysql, config: {password: '${PW}'}}\nsink: {type: datahub-rest}\n"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "recipe.yml"
    file.write_text(RECIPE)
    return file


def submitted(api: FakeApi) -> dict[str, Any]:
    (said,) = api.said("POST", "/jobs")
    spec: dict[str, Any] = said.body
    DatahubSpec.model_validate(spec)
    return spec


def test_a_recipe_is_all_that_is_needed(
    api: FakeApi, ctl: Any, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    assert ctl("datahub", "ingest", str(recipe), "--detach") == 0
    said = capsys.readouterr()
    assert said.out == f"{ID}\n" and said.err == ""
    assert submitted(api) == {"kind": "datahub", "recipe": RECIPE, "task": "RUN_INGEST"}


def test_every_option_has_its_field(
    api: FakeApi, ctl: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remote_client.cli.stdin.read_all", lambda *_: RECIPE.encode())
    api.on("POST", "/jobs", Answer(job_view(), 201))
    options = ["--queue", "berlin", "--cli-version", "1.6.0", "--plugin", "mysql", "--debug"]
    options += ["--requirement", "pandas<3", "--test-connection", "--secret", "A", "--env", "B=c"]
    options += ["--secret", "K:file", "--timeout", "2h", "--grace-period", "5s", "--memory", "1GiB"]
    options += ["--weight", "0.5", "--label", "x=y", "--name", "nightly", "--agent", "web-1"]
    assert ctl("datahub", "ingest", "-", "--detach", *options) == 0
    spec = submitted(api)
    assert spec["recipe"] == RECIPE and spec["task"] == "TEST_CONNECTION"
    assert (spec["version"], spec["plugins"], spec["requirements"]) == (
        *("1.6.0", ["mysql"], ["pandas<3"]),
    )
    assert (spec["queue"], spec["agent"], spec["name"]) == ("berlin", "web-1", "nightly")
    assert (spec["secrets"], spec["secret_files"], spec["env"]) == (["A", "K"], ["K"], {"B": "c"})
    assert (spec["timeout"], spec["grace_period"], spec["weight"]) == (7200.0, 5.0, 0.5)
    assert spec["debug"] is True and spec["labels"] == {"x": "y"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a: b: c", "the recipe is not YAML: line 1, column 5"),
        (b"- a", "is a list, not a mapping"),
        (b"sink: {type: a}", "has no source"),
        (b"\xff", "is not text in UTF-8"),
        (b"x" * 300_000, "too long for a recipe"),
    ],
)
def test_what_is_no_recipe_is_not_submitted(
    text: bytes, words: str, api: FakeApi, ctl: Any, recipe: Path, capsys: Any
) -> None:
    recipe.write_bytes(text)
    assert ctl("datahub", "ingest", str(recipe)) == 2
    assert words in capsys.readouterr().err and not api.calls


def test_a_file_that_is_not_there(ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl("datahub", "ingest", "/nowhere.yml") == 2
    assert capsys.readouterr().err == "remotectl: /nowhere.yml: No such file or directory\n"


def test_a_password_in_the_recipe_gets_a_warning(
    api: FakeApi, ctl: Any, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe.write_text("source: {type: mysql, config: {password: hunter2}}\n")
    api.on("POST", "/jobs", Answer(job_view(), 201))
    assert ctl("datahub", "ingest", str(recipe), "--detach") == 0
    err = capsys.readouterr().err
    assert "source.config.password looks like a secret" in err and "hunter2" not in err
    assert "write ${PASSWORD} instead, and: remotectl secret set PASSWORD" in err
    assert "names no sink: DataHub's server is used" in err


def test_a_report_is_shown_as_figures_and_findings(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    view = job_view(kind="datahub", recipe=RECIPE, state="failed", outputs=OUTPUTS)
    api.on("GET", f"/jobs/{ID}", view)
    assert ctl("datahub", "report", ID) == 0
    said = capsys.readouterr()
    assert "Result           Failed" in said.out and "Records written  30" in said.out
    assert "FAILURES\nLost\n    It is gone\n    db.t\n" in said.out
    assert "WARNINGS\nOdd (3 times)\n" in said.out
    assert f"job artifacts get {ID} ingestion_report.json" in said.err


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "running", "kind": "datahub"}, "its report comes with its end"),
        ({"state": "failed", "kind": "datahub", "end_detail": "lost"}, "has no report: lost"),
        ({"state": "failed", "kind": "command"}, "ran no recipe"),
    ],
)
def test_why_there_is_no_report(
    fields: dict[str, str], words: str, api: FakeApi, ctl: Any, capsys: Any
) -> None:
    api.on("GET", f"/jobs/{ID}", job_view(**fields))
    assert ctl("datahub", "report", ID) == 1
    assert words in capsys.readouterr().err
