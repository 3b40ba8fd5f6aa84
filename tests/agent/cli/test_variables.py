"""Variables of flags that belong to the call."""

from __future__ import annotations

import pytest

from remote_agent.cli.variables import switch_of, text_of, variable_of
from remote_agent.errors import ConfigError


def test_a_flag_has_one_variable() -> None:
    assert variable_of("--token-file") == "REMOTE_AGENT_TOKEN_FILE"


@pytest.mark.parametrize("text", ["1", "true", "Yes", "ON"])
def test_switched_on(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("REMOTE_AGENT_ONCE", text)
    assert switch_of("--once")


@pytest.mark.parametrize("text", ["", "0", "false", "No", "off"])
def test_switched_off(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert not switch_of("--once")
    monkeypatch.setenv("REMOTE_AGENT_ONCE", text)
    assert not switch_of("--once")


def test_what_is_neither_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_AGENT_ONCE", "maybe")
    with pytest.raises(ConfigError, match="neither true nor false"):
        switch_of("--once")


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_AGENT_COMMENT", "")
    assert text_of("--comment") is None
    monkeypatch.setenv("REMOTE_AGENT_COMMENT", "x")
    assert text_of("--comment") == "x"
    with pytest.raises(ConfigError, match="none of a, b"):
        text_of("--comment", ["a", "b"])
