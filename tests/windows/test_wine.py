"""What keeps the stage from waiting without a word. Needs no Wine."""

from __future__ import annotations

import pytest

from tests.windows.wine import bounded


def test_what_hangs_ends_and_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert bounded(["sleep", "3600"], 0.1) == 124
    said = capfd.readouterr().err
    assert "has not ended after 0.1 s; these run:" in said and "sleep 3600" in said.split("run:")[1]


def test_what_ends_gives_its_exit_code() -> None:
    assert bounded(["sh", "-c", "exit 3"], 600.0) == 3
