"""The section `[secrets]`: a key never comes from the file, and shows nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_server.config import ConfigError, load

KEY = "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="


def test_a_key_of_the_environment() -> None:
    config = load(None, {"REMOTE_SERVER_SECRETS_KEY": KEY})
    assert config.secrets.key is not None and config.secrets.key.get_secret_value() == KEY
    assert KEY not in repr(config) and KEY not in config.model_dump_json()


def test_a_key_file_is_a_path(tmp_path: Path) -> None:
    config = load(None, {"REMOTE_SERVER_SECRETS_KEY_FILE": str(tmp_path / "key")})
    assert (config.secrets.key_file, config.secrets.key) == (tmp_path / "key", None)


def test_a_key_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(f'[secrets]\nkey = "{KEY}"\n')
    with pytest.raises(ConfigError, match="REMOTE_SERVER_SECRETS_KEY") as caught:
        load(file, {})
    assert KEY not in str(caught.value)
