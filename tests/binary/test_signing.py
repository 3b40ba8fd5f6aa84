"""SHA256SUMS and its signature, checked as the documents say: with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from installers.binary.payload import BuildError
from installers.binary.signing import sign, write_sums


def openssl(*words: object) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one built file and its sum."""
    built = tmp_path / "dist"
    built.mkdir()
    (built / "remote-agent").write_bytes(b"program")
    write_sums(built)
    return built


def check(folder: Path, public: Path) -> None:
    openssl(
        *("pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin"),
        *("-in", folder / "SHA256SUMS", "-sigfile", folder / "SHA256SUMS.sig"),
    )


def test_it_is_what_openssl_accepts(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", key)
    openssl("pkey", "-in", key, "-pubout", "-out", public)
    monkeypatch.setenv("REMOTE_SIGNING_KEY_FILE", str(key))
    assert "is signed" in sign(folder)
    check(folder, public)
    (folder / "remote-agent").write_bytes(b"another")
    write_sums(folder)
    with pytest.raises(subprocess.CalledProcessError):
        check(folder, public)


def test_without_a_key_there_is_none_and_that_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REMOTE_SIGNING_KEY_FILE", raising=False)
    (folder / "SHA256SUMS.sig").write_bytes(b"of an earlier build")
    assert "is not signed: REMOTE_SIGNING_KEY_FILE names no key" in sign(folder)
    assert not (folder / "SHA256SUMS.sig").exists()


@pytest.mark.parametrize("content", ["", "no key", "rsa"])
def test_a_key_that_is_none_fails_the_build(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    key = tmp_path / "key.pem"
    key.write_text(content)
    if content == "rsa":
        openssl("genpkey", "-algorithm", "RSA", "-out", key)
    monkeypatch.setenv("REMOTE_SIGNING_KEY_FILE", str(key))
    with pytest.raises(BuildError, match="REMOTE_SIGNING_KEY_FILE"):
        sign(folder)
