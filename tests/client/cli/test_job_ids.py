"""Which job is meant."""

from __future__ import annotations

from typing import Any

import pytest

from remote_client.cli.session import Session
from remote_client.errors import UsageError
from tests.support.fake_api import ID, TOKEN, FakeApi, Said, job_view

OTHER = "01KADVTZ7W" + "AB" * 8


@pytest.fixture
def session(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("REMOTE_TOKEN", TOKEN)
    made = Session()
    made.url = api.url
    jobs = [job_view(id=OTHER, name="nightly"), job_view(name="nightly")]

    def answer(said: Said) -> dict[str, Any]:
        part, name = said.query.get("id", ""), said.query.get("name", "")
        fits = [job for job in jobs if part in job["id"] and name in job["name"]]
        return {"items": fits[: int(said.query["limit"])]}

    api.on("GET", "/jobs", answer)
    yield made
    made.close()


def test_a_whole_id_asks_nobody(api: FakeApi, session: Session) -> None:
    assert session.job_id(f" {ID.lower()} ") == ID
    assert api.calls == []


def test_any_part_the_end_first(api: FakeApi, session: Session) -> None:
    assert session.job_id("ffff") == ID
    assert session.job_id("ABABABAB") == OTHER
    assert session.job_id("ZTVWKADV".lower()[4:] + "tz7wf") == ID
    assert api.calls[0].query == {"id": "FFFF", "limit": "20"}


def test_last_is_ours(api: FakeApi, session: Session) -> None:
    assert session.job_id("@last") == OTHER
    assert api.calls[0].query == {"submitted_by": "me", "limit": "1"}
    api.on("GET", "/jobs", {"items": []})
    with pytest.raises(UsageError, match="no job was submitted with this token"):
        session.job_id("@last")


def test_a_name(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    assert session.job_id("nightly") == OTHER
    assert "is the newest of several jobs with the name nightly" in capsys.readouterr().err
    with pytest.raises(UsageError, match=f"choose one: {OTHER}, {ID}"):
        session.job_id("nightly", newest=False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("01KADVTZ7W", "2 jobs' ids have '01KADVTZ7W' in them; write more of it, best from"),
        ("01Z", "too short for a job's id; write 4"),
        ("nobody", "No job has 'nobody' in its id or as its name"),
        ("", "neither a part"),
    ],
)
def test_what_fits_nothing_or_too_much(session: Session, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        session.job_id(text)
