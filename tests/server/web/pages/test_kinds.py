"""What pages show of jobs of an extension's kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_protocol import extensions
from remote_protocol.api.jobs import JobView
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from remote_server.domain.model import Job
from remote_server.queries.views import job_view
from remote_server.web.pages import kinds
from remote_server.web.pages.job_words import title
from tests.support.extensions import installed, toy
from tests.support.live_server import Live
from tests.support.stored import NOW
from tests.support.visitor import visitor

__all__ = ["toy"]
ID = "01M8C0WSYRKNM5MZY0AKZDWVS1"


def view(**fields: object) -> JobView:
    return job_view(Job(ID, JobSpec.model_validate(fields), JobState.QUEUED, NOW))


@pytest.mark.usefixtures("toy")
def test_the_extension_says_what_its_jobs_are() -> None:
    job = view(kind="toy", greeting="good day")
    assert kinds.words(job) == title(job) == "greets with good day"
    shown = kinds.shown(job)
    assert shown is not None and (shown.label, shown.text) == ("greeting", "good day")


def test_a_kind_of_our_own_has_no_extension() -> None:
    job = view(command=["true"])
    assert kinds.shown(job) is None and kinds.words(job) == "command"


def test_a_broken_extension_spoils_no_page(tmp_path: Path) -> None:
    folder = tmp_path / extensions.NAMESPACE
    folder.mkdir()
    (folder / "half.py").write_text("import nothing_such")
    job = view(command=["true"]).model_copy(update={"kind": "half"})
    with installed(tmp_path):
        assert kinds.shown(job) is None and kinds.words(job) == "half"


@pytest.mark.usefixtures("toy")
def test_a_job_that_its_extension_cannot_show_spoils_no_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(job: JobView) -> str:
        raise KeyError(job.id)

    job = view(kind="toy", greeting="good day")
    for name in ("words", "shown"):
        monkeypatch.setattr(f"remote_toy.page.{name}", fails)
    assert kinds.words(job) == title(job) == "toy" and kinds.shown(job) is None


@pytest.mark.usefixtures("toy")
async def test_its_page_has_its_facts_and_tables(live: Live) -> None:
    answer = await live.post("/jobs", {"kind": "toy", "greeting": "<b>hi</b>"})
    assert answer.status == 201, answer.text
    async with visitor(live, "viewer") as browser:
        page = await browser.get(f"/jobs/{answer.body['id']}")
        assert page.status == 200
        assert "&lt;b&gt;hi&lt;/b&gt;" in page.text and "<b>hi</b>" not in page.text
        assert "&lt;English&gt;" in page.text and 'id="greetings"' in page.text
        assert "What it said." in page.words
        assert "no agent serves queue 'default'" in page.words
        listed = await browser.get("/jobs")
        assert "greets with" in listed.words
