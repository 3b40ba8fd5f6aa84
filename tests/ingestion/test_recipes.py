"""Recipes that the real DataHub runs: what comes of them, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from remote_protocol.api.jobs import JobView
from remote_protocol.states import EndReason, JobState
from tests.ingestion.conftest import TITLES, VALUE, Ingestion
from tests.ingestion.gms import Gms
from tests.support.stack import until


def test_from_a_file_into_a_file(ingestion: Ingestion, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    sink = {"type": "file", "config": {"filename": str(target)}}
    job = ingestion.run({"source": ingestion.from_file(), "sink": sink})
    assert job.state is JobState.SUCCEEDED, ingestion.log(job)
    assert len(json.loads(target.read_text())) == 10
    outputs = ingestion.stack.client.job(job.id).outputs
    assert outputs["status"] == "SUCCESS" and outputs["events_produced"] == "10"
    assert (outputs["source"], outputs["sink"]) == ("file", "file")
    assert (outputs["records_written"], outputs["warnings"], outputs["failures"]) == (
        *("10", "0", "0"),
    )


def test_from_sqlite_into_a_file(ingestion: Ingestion, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    sink = {"type": "file", "config": {"filename": str(target)}}
    job = ingestion.run({"source": ingestion.from_sqlite(), "sink": sink})
    assert job.state is JobState.SUCCEEDED, ingestion.log(job)
    assert all(title in target.read_text() for title in TITLES)


def test_a_source_that_nobody_knows(ingestion: Ingestion) -> None:
    job = ingestion.run("source:\n  type: nothere\nsink:\n  type: console\n")
    assert (job.state, job.end_reason) == (JobState.FAILED, EndReason.SPAWN_ERROR)
    assert "Failed to find a registered source for type nothere" in str(job.end_detail)


def test_from_sqlite_to_a_server_of_datahub(ingestion: Ingestion, tmp_path: Path) -> None:
    with Gms(VALUE) as gms:
        sink = {"type": "datahub-rest", "config": {"server": gms.url, "token": "${SECRET_VALUE}"}}
        job = ingestion.run({"source": ingestion.from_sqlite(), "sink": sink})
    assert job.state is JobState.SUCCEEDED, ingestion.log(job)
    outputs = ingestion.stack.client.job(job.id).outputs
    assert outputs["sink"] == "datahub-rest" and int(outputs["records_written"]) > 10
    assert outputs["failures"] == "0"
    urns = {str(one.get("entityUrn")) for one in gms.proposals}
    assert any("orders" in urn for urn in urns), urns
    assert gms.refused == 0
    report = artifact(ingestion, job, tmp_path)
    assert report["sink"]["type"] == "datahub-rest"


def test_a_recipe_that_fails_says_what(ingestion: Ingestion, tmp_path: Path) -> None:
    broken = {"platform": "sqlite", "connect_uri": "sqlite:////nowhere/${SECRET_VALUE}.sqlite"}
    recipe = {"source": {"type": "sqlalchemy", "config": broken}, "sink": {"type": "console"}}
    job = ingestion.run(recipe)
    assert (job.state, job.exit_code) == (JobState.FAILED, 1), ingestion.log(job)
    outputs = ingestion.stack.client.job(job.id).outputs
    assert outputs["status"] == "FAILURE" and int(outputs["failures"]) > 0
    assert "unable to open database file" in outputs["findings"]
    done = ingestion.stack.ctl("datahub", "report", job.id)
    assert done.returncode == 0, done.stderr
    assert b"FAILURES" in done.stdout and b"unable to open database file" in done.stdout
    assert VALUE.encode() not in done.stdout
    assert VALUE not in json.dumps(artifact(ingestion, job, tmp_path)) + ingestion.log(job)


def test_a_missing_secret_ends_a_job_before_it_starts(ingestion: Ingestion) -> None:
    recipe = {"source": ingestion.from_sqlite(password="${NOWHERE_KNOWN}")}
    job = ingestion.run({**recipe, "sink": {"type": "console"}})
    assert (job.state, job.end_reason) == (JobState.FAILED, EndReason.SECRET_MISSING)
    assert "There is no secret NOWHERE_KNOWN" in str(job.end_detail)
    assert job.started_at is None


def test_connections_that_work_and_do_not(ingestion: Ingestion) -> None:
    works = {"source": ingestion.from_file(), "sink": {"type": "console"}}
    job = ingestion.run(works, task="TEST_CONNECTION")
    assert job.state is JobState.SUCCEEDED, ingestion.log(job)
    assert ingestion.stack.client.job(job.id).outputs["status"] == "CONNECTED"
    fails = {"source": {"type": "file", "config": {"path": "/nowhere/events.json"}}}
    job = ingestion.run({**fails, "sink": {"type": "console"}}, task="TEST_CONNECTION")
    assert (job.state, job.exit_code) == (JobState.FAILED, 1), ingestion.log(job)
    outputs = ingestion.stack.client.job(job.id).outputs
    assert outputs["status"] == "NOT_CONNECTED" and outputs["failures"] == "1"
    assert "/nowhere/events.json" in outputs["findings"]


def test_a_cancel_in_the_middle(ingestion: Ingestion, tmp_path: Path) -> None:
    with Gms(VALUE, slow=True) as gms:
        sink = {"type": "datahub-rest", "config": {"server": gms.url, "token": "${SECRET_VALUE}"}}
        sink["config"]["mode"] = "SYNC"  # type: ignore[index]
        job = ingestion.submit({"source": ingestion.from_sqlite(), "sink": sink})
        until(gms.reached.is_set, "the sink is at work")
        ingestion.stack.client.cancel(job, "enough")
        ingestion.stack.prints(job, b"cancelled: DataHub closes its source and its sink")
        gms.proceed.set()
        ended = ingestion.stack.client.wait(job, 60)
    assert ended.state is JobState.CANCELLED, ingestion.log(ended)
    outputs = ingestion.stack.client.job(job).outputs
    assert outputs["status"] == "CANCELLED", ingestion.log(ended)
    assert artifact(ingestion, ended, tmp_path)["source"]["type"] == "sqlalchemy"


def artifact(ingestion: Ingestion, job: JobView, folder: Path) -> dict[str, Any]:
    """DataHub's whole report, as a user gets it."""

    def got() -> bool:
        words = ("job", "artifacts", "get", job.id, "--dir", folder)
        return ingestion.stack.ctl(*words).returncode == 0

    until(got, "the report is with the server")
    found: dict[str, Any] = json.loads((folder / "ingestion_report.json").read_text())
    return found
