"""What pages show of DataHub jobs."""

from __future__ import annotations

from typing import Any

from remote_datahub import page
from remote_datahub.spec import DatahubSpec
from remote_protocol.api.jobs import JobView
from remote_protocol.states import JobState
from remote_server.domain.model import Job
from remote_server.queries.views import job_view
from tests.datahub.test_report import OUTPUTS
from tests.server.web.conftest import live
from tests.support.live_server import Live
from tests.support.stored import NOW
from tests.support.visitor import visitor

__all__ = ["live"]
RECIPE = "source: {type: mysql, config: {password: '${PW}'}}\nsink: {type: datahub-rest}\n"
ID = "01M8C0WSYRKNM5MZY0AKZDWVS1"


def view(outputs: dict[str, str] | None = None, **fields: Any) -> JobView:
    spec = DatahubSpec.model_validate({"recipe": RECIPE, **fields})
    made = job_view(Job(ID, spec, JobState.FAILED, NOW))
    return made.model_copy(update={"outputs": outputs or {}})


def test_a_line_says_what_it_runs() -> None:
    assert page.words(view()) == "DataHub: mysql to datahub-rest"
    assert page.words(view(task="TEST_CONNECTION")) == "DataHub: try mysql"
    assert page.words(view(recipe="[")) == "DataHub recipe"


def test_facts_of_its_environment() -> None:
    assert dict(page.shown(view(version="1.7", plugins=["mysql"], debug=True)).facts) == {
        "Task": "ingest",
        "DataHub": "1.7",
        "Plugins": "mysql",
        "Debug": "yes",
    }
    assert dict(page.shown(view(environment="nightly", task="TEST_CONNECTION")).facts) == {
        "Task": "try the connection",
        "DataHub": "as the agent's environment nightly has it",
    }


def test_its_report_is_a_table_and_what_went_wrong_another() -> None:
    assert page.shown(view()).tables == []
    figures, findings = page.shown(view(OUTPUTS)).tables
    assert (figures.id, figures.note) == ("report", "Failed.")
    assert ("Records written", "30") in [row.cells for row in figures.rows]
    assert [row.state for row in findings.rows] == ["failed", "warning"]
    assert findings.note.startswith("4 more: ingestion_report.json")


async def test_the_page_of_a_job_that_waits(live: Live) -> None:
    answer = await live.post("/jobs", {"kind": "datahub", "recipe": RECIPE})
    assert answer.status == 201, answer.text
    assert answer.body["secrets"] == ["PW"]
    async with visitor(live, "viewer") as browser:
        shown = await browser.get(f"/jobs/{answer.body['id']}")
        assert "DataHub: mysql to datahub-rest" in shown.words
        assert "those of source and sink" in shown.words
