"""What `remotectl job` prints of DataHub jobs."""

from __future__ import annotations

from typing import Any

import pytest

from remote_datahub.shown import print_details, words
from tests.client.conftest import api, clean_environment, ctl, usual_signals
from tests.datahub.test_command import RECIPE
from tests.datahub.test_report import OUTPUTS
from tests.support.fake_api import ID, FakeApi, job_view

__all__ = ["api", "clean_environment", "ctl", "usual_signals"]


def test_a_line_says_what_a_job_runs() -> None:
    assert words({"recipe": RECIPE, "task": "RUN_INGEST"}) == "DataHub: mysql to datahub-rest"
    assert words({"recipe": RECIPE, "task": "TEST_CONNECTION"}) == "DataHub: try mysql"
    assert words({}) == "DataHub recipe"


def test_without_a_report_there_is_nothing_to_print(capsys: pytest.CaptureFixture[str]) -> None:
    print_details({"outputs": {}})
    assert capsys.readouterr().out == ""


def test_job_show_and_job_list(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    view = job_view(kind="datahub", recipe=RECIPE, command=[], state="failed", outputs=OUTPUTS)
    api.on("GET", f"/jobs/{ID}", view)
    api.on("GET", f"/jobs/{ID}/timeline", {"items": []})
    assert ctl("job", "show", ID) == 0
    shown = capsys.readouterr().out
    assert "DataHub: mysql to datahub-rest" in shown
    assert "REPORT\nResult" in shown and "FAILURES\nLost" in shown
    api.on("GET", "/jobs", {"items": [view], "next_cursor": None})
    assert ctl("job", "list") == 0
    assert "DataHub: mysql" in capsys.readouterr().out
