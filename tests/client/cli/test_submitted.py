"""A job that is submitted and followed, for commands other than `run`; see `test_run.py`, too."""

from __future__ import annotations

import click
import pytest

from remote_client.cli.options import Command, output_option
from remote_client.cli.session import Session
from remote_client.cli.submitted import as_usage, run_job
from remote_client.errors import ApiError, UsageError
from tests.support.fake_api import ID, TOKEN, Answer, FakeApi, cri_log, job_view


def ran(api: FakeApi, monkeypatch: pytest.MonkeyPatch, *words: str, detach: bool = False) -> int:
    monkeypatch.setenv("REMOTE_TOKEN", TOKEN)

    @click.command(cls=Command)
    @output_option
    def command(output: str) -> int:
        spec = {"command": ["true"]}
        session = Session()
        session.url = api.url
        try:
            return run_job(
                session, spec, "it", detach=detach, cancel_on_broken_pipe=False, output=output
            )
        finally:
            session.close()

    code = command.main([*words], standalone_mode=False, obj=Session())
    assert isinstance(code, int)
    return code


def test_it_is_followed_to_its_end(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = job_view(state="failed", exit_code=3, end_reason="exit", attempt=1)
    api.on("POST", "/jobs", Answer(job_view(), 201))
    api.on("GET", f"/jobs/{ID}", ended)
    api.on("GET", f"/jobs/{ID}/log", cri_log(("stdout", b"hi\n")))
    assert ran(api, monkeypatch) == 3
    assert capfd.readouterr().out == "hi\n"


def test_it_is_left_alone(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("POST", "/jobs", Answer(job_view(), 201))
    assert ran(api, monkeypatch, detach=True) == 0
    assert capsys.readouterr().out == f"{ID}\n"
    assert ran(api, monkeypatch, "--output", "json", detach=True) == 0
    assert f'"id": "{ID}"' in capsys.readouterr().out


def test_faults_of_a_job_stand_under_the_names_of_options() -> None:
    faults = [{"field": "memory_limit", "message": "is too small"}]
    error = as_usage(ApiError({"status": 422, "code": "validation", "errors": faults}))
    assert isinstance(error, UsageError) and "--memory: is too small" in str(error)
    other = ApiError({"status": 403, "code": "forbidden"})
    assert as_usage(other) is other
