"""The identity file: private, atomic, honest about damage."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from remote_agent.connection import identity as identity_module
from remote_agent.connection.identity import (
    FILE,
    Identity,
    installation,
    load_identity,
    new_fingerprint,
    remove_identity,
    reserve_identity,
    save_identity,
)
from remote_agent.errors import AgentError

WHO = Identity("http://h:1", "web-7", "rat_secret", new_fingerprint(), settings={"queues": ["a"]})


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    save_identity(tmp_path / "state", WHO)
    assert load_identity(tmp_path / "state") == WHO
    assert (tmp_path / "state" / FILE).stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


def test_nobody_before_register_and_after_removal(tmp_path: Path) -> None:
    assert load_identity(tmp_path) is None
    save_identity(tmp_path, WHO)
    remove_identity(tmp_path)
    assert load_identity(tmp_path) is None


def test_a_file_that_others_can_read_is_made_private(tmp_path: Path) -> None:
    save_identity(tmp_path, WHO)
    (tmp_path / FILE).chmod(0o644)
    assert load_identity(tmp_path) == WHO
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


WRONG: list[dict[str, object]] = [
    {"server": 1},
    {"name": "\033[2J"},
    {"ca_file": []},
    {"settings": None},
]
ODD = [json.dumps({"server": "s", "name": "n", "token": "t", **wrong}) for wrong in WRONG]


@pytest.mark.parametrize("text", ["", "{", '{"v": 1}', "[]", "[" * 100_000, *ODD])
def test_damage_is_said_with_its_cure(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(AgentError, match="register again"):
        load_identity(tmp_path)


@pytest.mark.parametrize("kind", ["a symbolic link", "a hard link", "a FIFO"])
def test_what_a_job_has_put_in_its_place_is_not_touched(tmp_path: Path, kind: str) -> None:
    """Root reads the identity in a directory that belongs to the account of the service."""
    victim, planted = tmp_path / "victim", tmp_path / "state" / FILE
    save_identity(tmp_path, WHO)
    (tmp_path / FILE).rename(victim)
    victim.chmod(0o644)
    planted.parent.mkdir()
    match kind:
        case "a symbolic link":
            planted.symlink_to(victim)
        case "a hard link":
            planted.hardlink_to(victim)
        case _:
            os.mkfifo(planted)
    with pytest.raises(AgentError, match=f"cannot be read .*{kind}"):
        load_identity(planted.parent)
    assert victim.stat().st_mode & 0o777 == 0o644


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AgentError, match="cannot be written"):
        save_identity(tmp_path / "file" / "state", WHO)


def test_the_token_is_not_shown_by_accident() -> None:
    assert "rat_secret" not in repr(WHO)


def test_the_place_of_an_identity_is_reserved_before_it_is_known(tmp_path: Path) -> None:
    fingerprint = reserve_identity(tmp_path)
    assert len(fingerprint) == 32
    reserved = tmp_path / "identity.tmp"
    assert reserve_identity(tmp_path) == fingerprint
    assert load_identity(tmp_path) is None
    assert reserved.stat().st_size == 4096
    assert reserved.stat().st_mode & 0o777 == 0o600
    save_identity(tmp_path, WHO)
    assert load_identity(tmp_path) == WHO
    assert not reserved.exists()
    assert reserve_identity(tmp_path, "known") == "known"
    reserved.write_text("damaged")
    assert len(reserve_identity(tmp_path)) == 32


def test_an_installation_is_not_copied_with_its_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first = installation(tmp_path / "one")
    assert installation(tmp_path / "one") == first
    assert (tmp_path / "one" / "installation").stat().st_mode & 0o777 == 0o600
    assert installation(tmp_path / "two") != first
    # The whole directory on another host is another installation, too.
    machine = tmp_path / "machine-id"
    machine.write_text("another")
    monkeypatch.setattr(identity_module, "MACHINE_ID", machine)
    assert installation(tmp_path / "one") != first
    machine.unlink()
    assert len(installation(tmp_path / "one")) == len(first)
