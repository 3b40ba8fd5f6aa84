"""`remote_server.s3.credentials`: which profile, and what stands in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from remote_server.s3.credentials import Profile, ProfileUnusable, profile_of

FILE = """
[default]
aws_access_key_id = A
aws_secret_access_key = B%C
[ops]
aws_access_key_id = D
aws_secret_access_key = E
aws_session_token = F
[role]
role_arn = arn:aws:iam::1:role/x
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(FILE)
    return tmp_path


def test_the_default_profile_of_the_home(home: Path) -> None:
    found = profile_of({"HOME": str(home)})
    assert found is not None
    keys = found()
    assert (keys["access_key_id"], keys["secret_access_key"], keys["token"]) == ("A", "B%C", None)
    assert keys["expires_at"] is not None and keys["expires_at"] > datetime.now(UTC)


def test_a_profile_that_is_named(home: Path) -> None:
    found = profile_of(
        {"HOME": str(home), "AWS_PROFILE": "ops", "AWS_WEB_IDENTITY_TOKEN_FILE": "t"}
    )
    assert found is not None and found()["token"] == "F"
    file = home / "other"
    file.write_text(FILE.replace("= D", "= G"))
    environ = {"AWS_PROFILE": "ops", "AWS_SHARED_CREDENTIALS_FILE": str(file)}
    found = profile_of(environ)
    assert found is not None and found()["access_key_id"] == "G"
    file.write_text(FILE.replace("= D", "= H"))
    assert found()["access_key_id"] == "H", "it is read anew"


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"AWS_ACCESS_KEY_ID": "X", "AWS_PROFILE": "ops"},
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "t"},
        {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.2"},
    ],
)
def test_keys_that_come_in_another_way(home: Path, environ: dict[str, str]) -> None:
    assert profile_of({**environ, **({"HOME": str(home)} if environ else {})}) is None


def test_without_a_file_of_profiles(tmp_path: Path) -> None:
    assert profile_of({"HOME": str(tmp_path)}) is None
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text("[other]\naws_access_key_id = A\n")
    assert profile_of({"HOME": str(tmp_path)}) is None


@pytest.mark.parametrize("name", ["role", "none"])
def test_a_profile_without_keys(home: Path, name: str) -> None:
    with pytest.raises(ProfileUnusable, match=rf"the profile {name} in .* credential_process"):
        Profile(home / ".aws" / "credentials", name)()


def test_a_file_that_is_none_or_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ProfileUnusable, match=r"cannot be read from .*: No such file"):
        Profile(tmp_path / "none", "ops")()
    for content in (b"\xff\xfe", b"aws_secret_access_key = topsecret\n"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(ProfileUnusable, match="it is not a file of profiles") as caught:
            Profile(tmp_path / "bad", "ops")()
        assert "topsecret" not in str(caught.value)
