"""What the host has accepted: found after a restart of it, whatever else came to the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from remote_agent.journal import acceptances as module
from remote_agent.journal.acceptances import MORE, NAME, SLOT, Acceptances
from remote_agent.processes import write_at
from remote_protocol.attempt_id import AttemptId
from tests.support.fake_server import new_key


def lines(place: Path) -> list[str]:
    """What stands in the file, without empty slots."""
    data = (place / NAME).read_bytes()
    assert len(data) % SLOT == 0 and data[SLOT - 1 :: SLOT] == b"\n" * (len(data) // SLOT)
    return [line.rstrip() for line in data.decode().splitlines() if line.strip()]


def accept(accepted: Acceptances, *keys: AttemptId) -> None:
    accepted.add(keys)
    accepted.force()


def forced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is forced to the disk from now on."""
    seen: list[str] = []

    def force(descriptor: int) -> None:
        seen.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)

    monkeypatch.setattr(module, "sync_data", force)
    monkeypatch.setattr(os, "fsync", force)
    return seen


def test_all_of_a_turn_share_one_write_to_the_disk(tmp_path: Path, monkeypatch) -> None:
    seen = forced(monkeypatch)
    accepted = Acceptances(tmp_path, "boot-1")
    assert not (tmp_path / NAME).exists(), "nothing is made before it is needed"
    first, second, third = (new_key() for _ in range(3))
    accept(accepted, first, second)
    assert seen == [tmp_path.name, NAME], "the name of a new file, then what is in it"
    assert lines(tmp_path) == [f"{first} boot-1", f"{second} boot-1"]
    accept(accepted, third)
    assert seen[2:] == [NAME]
    accepted.remove(second)
    assert seen[3:] == [] and lines(tmp_path) == [f"{first} boot-1", f"{third} boot-1"]


def test_a_place_is_used_again_and_the_file_grows_only_by_need(tmp_path: Path) -> None:
    accepted = Acceptances(tmp_path, "boot-1")
    for _ in range(3 * MORE):
        key = new_key()
        accept(accepted, key)
        accept(accepted, key)
        accepted.remove(key)
    assert (tmp_path / NAME).stat().st_size == MORE * SLOT and lines(tmp_path) == []
    many = [new_key() for _ in range(MORE + 3)]
    accept(accepted, *many)
    assert sorted(lines(tmp_path)) == sorted(f"{key} boot-1" for key in many)
    assert (tmp_path / NAME).stat().st_size == (MORE + MORE + 3) * SLOT


def test_what_a_host_had_accepted_before_it_restarted_is_told(tmp_path: Path) -> None:
    gone, here = new_key(), new_key()
    accept(Acceptances(tmp_path, "boot-1"), gone, here)
    same = Acceptances(tmp_path, "boot-1")
    assert same.former == set()
    later = Acceptances(tmp_path, "boot-2")
    assert later.former == {gone, here}
    new = new_key()
    accept(later, new)
    later.remove(gone)
    later.remove(gone)
    assert later.former == {here}
    assert Acceptances(tmp_path, "boot-2").former == {here}
    assert Acceptances(tmp_path, "boot-1").former == {new}


def test_what_was_settled_by_an_agent_that_was_killed_then_is_dropped(tmp_path: Path) -> None:
    settled, held, former = new_key(), new_key(), new_key()
    accept(Acceptances(tmp_path, "boot-0"), former)
    accept(Acceptances(tmp_path, "boot-1"), settled, held)
    accepted = Acceptances(tmp_path, "boot-1")
    accepted.keep([str(held), "notes.txt"])
    assert lines(tmp_path) == [f"{former} boot-0", f"{held} boot-1"]
    assert accepted.former == {former}, "a host that restarted may have lost its directory"


def test_a_file_that_cannot_grow_has_accepted_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "write_at", lambda descriptor, data, offset: len(data) - 1)
    accepted = Acceptances(tmp_path, "boot-1")
    with pytest.raises(OSError, match="No space"):
        accept(accepted, new_key())
    monkeypatch.undo()
    key = new_key()
    accept(accepted, key)
    assert lines(tmp_path) == [f"{key} boot-1"]


def test_when_one_of_a_turn_cannot_be_written_none_is_accepted(tmp_path: Path, monkeypatch) -> None:
    accepted = Acceptances(tmp_path, "boot-1")
    held, first, second = (new_key() for _ in range(3))
    accept(accepted, held)
    write = write_at

    def refuse(descriptor: int, data: memoryview, offset: int) -> int:
        if str(second).encode() in bytes(data):
            raise OSError(5, "Input/output error")
        return write(descriptor, data, offset)

    monkeypatch.setattr(module, "write_at", refuse)
    with pytest.raises(OSError, match="Input/output"):
        accept(accepted, first, second)
    assert lines(tmp_path) == [f"{held} boot-1"]


@pytest.mark.parametrize("rest", [b"\0" * 500, b"\xff" * 300, b"x\n" * 200, b"01J.1 b\n"])
def test_rubbish_names_no_attempt(tmp_path: Path, rest: bytes) -> None:
    key = new_key()
    accept(Acceptances(tmp_path, "boot-1"), key)
    file = tmp_path / NAME
    file.write_bytes(file.read_bytes()[:SLOT] + rest)
    accepted = Acceptances(tmp_path, "boot-2")
    assert accepted.former == {key}
    accept(accepted, *(new_key() for _ in range(5)))
    assert Acceptances(tmp_path, "boot-2").former == {key}


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_what_a_job_has_put_in_its_place_is_moved_away(
    tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / NAME
    if kind == "link":
        (tmp_path / "precious").write_text("of the agent's user")
        file.symlink_to("precious")
    elif kind == "folder":
        file.mkdir()
    else:
        os.mkfifo(file)
    accepted = Acceptances(tmp_path, "boot-1")
    key = new_key()
    accept(accepted, key)
    assert lines(tmp_path) == [f"{key} boot-1"]
    assert "what the agent has accepted cannot be read" in capsys.readouterr().out
    if kind == "link":
        assert (tmp_path / "precious").read_text() == "of the agent's user"


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _replace(file: Path) -> None:
    other = file.with_name("other")
    other.write_bytes(file.read_bytes())
    other.replace(file)


def _link(file: Path) -> None:
    file.unlink()
    file.symlink_to("precious")


def _folder(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))
    file.mkdir()


@pytest.mark.parametrize("damage", [Path.unlink, _empty, _replace, _link, _folder])
def test_what_is_done_to_the_file_under_a_running_agent_is_made_good(
    tmp_path: Path,
    damage: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "precious").write_text("of the agent's user")
    former, settled, held, new = (new_key() for _ in range(4))
    accept(Acceptances(tmp_path, "boot-0"), former)
    accepted = Acceptances(tmp_path, "boot-1")
    accept(accepted, settled, held)
    accepted.remove(settled)
    accepted.renew()
    assert capsys.readouterr().out == ""
    damage(tmp_path / NAME)
    seen = forced(monkeypatch)
    accepted.renew()
    assert seen == [NAME, tmp_path.name]
    assert f"path={tmp_path / NAME}" in capsys.readouterr().out
    accepted.renew()
    assert capsys.readouterr().out == "", "it is in its place again"
    accept(accepted, new)
    assert seen[2:] == [NAME], "and is what is forced from then on"
    assert Acceptances(tmp_path, "boot-1").former == {former}
    assert Acceptances(tmp_path, "boot-2").former == {former, held, new}
    assert (tmp_path / "precious").read_text() == "of the agent's user"


def test_what_cannot_be_made_good_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted = Acceptances(tmp_path, "boot-1")
    key = new_key()
    accept(accepted, key)
    (tmp_path / NAME).unlink()
    monkeypatch.setattr(module, "write_at", lambda descriptor, data, offset: len(data) - 1)
    with pytest.raises(OSError, match="No space"):
        accepted.renew()
    monkeypatch.undo()
    accepted.renew()
    assert lines(tmp_path) == [f"{key} boot-1"]


def test_nothing_is_looked_at_before_it_is_needed(tmp_path: Path) -> None:
    Acceptances(tmp_path, "boot-1").renew()
    assert not (tmp_path / NAME).exists()


def test_a_very_long_boot_id_is_cut_and_still_the_same(tmp_path: Path) -> None:
    key, boot_id = new_key(), "{ sec = 1700000000, usec = 123456 } " * 9
    accept(Acceptances(tmp_path, boot_id), key)
    assert len(lines(tmp_path)[0]) < SLOT
    assert Acceptances(tmp_path, boot_id).former == set()
