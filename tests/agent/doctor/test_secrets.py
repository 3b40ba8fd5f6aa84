"""What doctor says of the secrets that a host has."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.doctor.secrets import secrets
from remote_agent.sections import SecretsPart
from remote_protocol.report import Status


def test_a_host_that_has_none() -> None:
    finding = secrets(SecretsPart())
    assert (finding.status, finding.code) == (Status.SKIP, "no_secrets_here")
    assert secrets(SecretsPart(env_allow=["DB_*", "KEY"])).finding.endswith("DB_*, KEY")


def test_what_is_in_the_directory(tmp_path: Path) -> None:
    for name in ("A", "DB_PASSWORD", "db-password", "REMOTE_X", "..data"):
        (tmp_path / name).write_text("hush")
    finding = secrets(SecretsPart(dir=tmp_path))
    assert finding.status is Status.PASS
    assert finding.finding == (
        f"{tmp_path} has 2 secrets, and what no job can name (letters, digits and _ only): "
        "REMOTE_X, db-password"
    )


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "absent", tmp_path / "file"):
        finding = secrets(SecretsPart(dir=folder))
        assert (finding.status, finding.code) == (Status.FAIL, "secrets_directory_missing")
        assert str(folder) in finding.finding and "mount" in finding.cure


def test_one_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(7):
        (tmp_path / f"S{number}").write_text("hush")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    finding = secrets(SecretsPart(dir=tmp_path))
    assert (finding.status, finding.code) == (Status.FAIL, "secrets_directory_unreadable")
    assert finding.why == "this user may not read S0, S1, S2, S3, S4 and 2 more"

    def refuse(path: object) -> list[str]:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", refuse)
    finding = secrets(SecretsPart(dir=tmp_path))
    assert finding.code == "secrets_directory_unreadable" and "Permission denied" in finding.why
