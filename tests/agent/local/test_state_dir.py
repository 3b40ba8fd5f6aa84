"""The state directory: the agent's own, closed to others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.errors import ConfigError
from remote_agent.local.state_dir import secure


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.parametrize("before", [0o777, 0o755, 0o700, 0o500, 0o1777])
@pytest.mark.parametrize(("passable", "after"), [(False, 0o700), (True, 0o711)])
def test_it_is_closed_to_others(tmp_path: Path, before: int, passable: bool, after: int) -> None:
    place = tmp_path / "state"
    secure(place)
    place.mkdir()
    place.chmod(before)
    secure(place, passable)
    assert mode(place) == after


def test_that_it_was_open_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for before, said in ((0o711, False), (0o777, True)):
        tmp_path.chmod(before)
        secure(tmp_path)
        assert ("open to others" in capsys.readouterr().out) is said


def test_what_is_not_ours_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match="is no directory"):
        secure(file)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(ConfigError, match="cannot be used"):
        secure(loop)
    if os.geteuid():
        return
    place = tmp_path / "place"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    (place / "identity.json").touch()
    os.chown(place / "identity.json", 65534, 65534)
    with pytest.raises(ConfigError, match=r"identity.json in it belongs to user 65534"):
        secure(place)
    os.chown(place, 65534, 65534)
    with pytest.raises(ConfigError, match="belongs to user 65534, and this is user 0"):
        secure(place)
