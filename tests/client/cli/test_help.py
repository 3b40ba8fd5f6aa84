"""`remotectl help`."""

from __future__ import annotations

import pytest

from tests.client.conftest import call


def test_help_is_what_help_options_show(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["job"], ["job", "list"]):
        assert call("help", *words) == 0
        said = capsys.readouterr().out
        assert call(*words, "--help") == 0
        assert said.split("\n", 1)[1] == capsys.readouterr().out.split("\n", 1)[1]
    assert call("help", "job", "jump") == 2
    assert "There is no command 'jump'" in capsys.readouterr().err
