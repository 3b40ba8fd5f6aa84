"""What a job gave back, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.fake_api import ID, FakeApi, job_view


@pytest.fixture
def ended(api: FakeApi) -> dict[str, str]:
    outputs = {"version": "1.2", "notes": "one\ntwo", "empty": "", "long": "x" * 1_000}
    api.on("GET", f"/jobs/{ID}", job_view(state="succeeded", outputs=outputs))
    api.on("GET", f"/jobs/{ID}/timeline", {"items": []})
    return outputs


def test_show(ended: dict[str, str], ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert ctl("job", "show", ID) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = lines[lines.index("OUTPUTS") + 1 :]
    assert shown[:3] == ["version  1.2", "notes    one\\ntwo", "empty    (empty)"]
    assert shown[3].endswith("… (700 more characters: --output-of long)")


@pytest.mark.parametrize("key", ["version", "notes", "empty", "long"])
def test_one_as_it_is(
    ended: dict[str, str], ctl: Any, capfdbinary: pytest.CaptureFixture[bytes], key: str
) -> None:
    assert ctl("job", "show", ID, "--output-of", key) == 0
    assert capfdbinary.readouterr().out == f"{ended[key]}\n".encode()


def test_the_whole_document_has_them_too(
    ended: dict[str, str], ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ctl("job", "show", ID, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == ended


def test_one_that_is_not_there(
    ended: dict[str, str], ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ctl("job", "show", ID, "--output-of", "Version") == 1
    out, err = capsys.readouterr()
    assert out == "" and "has no output 'Version': it has version, notes, empty, long" in err


def test_a_job_that_gave_nothing(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    api.on("GET", f"/jobs/{ID}", job_view(state="failed", outputs_warning="it is a FIFO"))
    api.on("GET", f"/jobs/{ID}/timeline", {"items": []})
    assert ctl("job", "show", ID, "--output-of", "a") == 1
    assert "it wrote nothing to $REMOTE_OUTPUTS; it is a FIFO" in capsys.readouterr().err
    assert ctl("job", "show", ID) == 0
    out = capsys.readouterr().out
    assert "OUTPUTS" not in out and "it is a FIFO" in out


def test_a_job_that_runs(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    api.on("GET", f"/jobs/{ID}", job_view(state="running"))
    assert ctl("job", "show", ID, "--output-of", "a") == 1
    assert f"is running; its outputs come with its end: remotectl job wait {ID}" in (
        capsys.readouterr().err
    )
