"""The command `remotectl doctor`."""

from __future__ import annotations

import json

import pytest

from tests.client.conftest import call


def test_it_prints_findings_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("doctor") == 1
    assert "[not_logged_in]" in capsys.readouterr().out
    monkeypatch.setenv("REMOTE_URL", "https://jobs.invalid")
    monkeypatch.setenv("REMOTE_TOKEN", "rpt_" + "s" * 43)
    assert call("doctor", "--output", "json") == 1
    found = {one["check"]: one for one in json.loads(capsys.readouterr().out)}
    assert found["name"]["code"] == "name_unknown"
    assert (found["token"]["status"], found["token"]["why"]) == ("skip", "needs: name")
