"""The provider of the configuration, and the client's secret."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from remote_server.config import ConfigError
from remote_server.oidc.opening import client_secret, open_provider
from remote_server.oidc_settings import OidcPart


def settings(**more: Any) -> OidcPart:
    return OidcPart.model_validate({"issuer": "https://id.example", **more})


def test_without_an_issuer_there_is_none() -> None:
    assert open_provider(OidcPart()) is None


def test_with_one_there_is_one() -> None:
    provider = open_provider(settings(name="Example"))
    assert provider is not None and provider.title == "Example"


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "remote_server.oidc.provider", raising=False)
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(ConfigError, match=r'needs .*jwt.* pip install "remote-server\[oidc\]"'):
        open_provider(settings())


def test_a_secret_comes_from_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    assert client_secret(settings(client_secret_file=str(file))) == "s3cret"
    assert client_secret(settings(client_secret="other", client_secret_file=str(file))) == "other"
    assert client_secret(settings()) is None


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"s3cret", 0o640, "can be read by others on this host; take that away: chmod 600"),
        (b"s3cret", 0o604, "can be read by others"),
        (b"  \n", 0o600, "holds no secret"),
        (b"s3cret\ns3cret", 0o600, "holds no secret"),
        (b"s3cret" * 1000, 0o600, "holds no secret"),
    ],
)
def test_a_file_that_does_not_do_is_named_without_its_content(
    tmp_path: Path, content: bytes, mode: int, said: str
) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        client_secret(settings(client_secret_file=str(file)))
    assert said in str(caught.value) and str(file) in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        client_secret(settings(client_secret_file=str(tmp_path / "none")))
