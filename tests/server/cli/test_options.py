"""Shared options become a configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_server.cli.options import configuration
from remote_server.config import ConfigError


def test_flags_win_over_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_SERVER_LISTEN", ":1")
    monkeypatch.setenv("REMOTE_SERVER_DATA_DIR", str(tmp_path))
    found = configuration(None, listen=":2", data_dir=None)
    assert found.server.listen.port == 2
    assert found.server.data_dir == tmp_path
    with pytest.raises(ConfigError, match="--listen"):
        configuration(None, listen="x")


def test_a_key_of_secrets_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMOTE_SERVER_SECRETS_KEY", "only-we-know")
    config = configuration(None)
    assert config.secrets.key is not None
    assert config.secrets.key.get_secret_value() == "only-we-know"
    assert "REMOTE_SERVER_SECRETS_KEY" not in os.environ
