"""Files that a container and its agent share."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from remote_agent.shim.order import Order
from remote_agent.shim.workload.ownership import Ownership
from tests.support.fake_engine import install, options


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An attempt's directory with what belongs to its job."""
    home = tmp_path / "J.1"
    (home / "work" / "deep").mkdir(parents=True)
    home.chmod(0o700)
    (home / "work" / "deep" / "run").touch(0o700)
    (home / "work").chmod(0o700)
    (home / "outputs").touch(0o600)
    return home


def order(home: Path, **fields: Any) -> Order:
    engine = home.parent / "engine" / "docker"
    if not engine.exists():
        install(engine.parent)
    folders = [str(home / "work"), str(home / "outputs")]
    mounts = [word for one in folders for word in ("--mount", f"type=bind,source={one}")]
    more = options(engine, folders=folders, create=["--label=a=b", *mounts])
    return Order("J.1", ["debian:12", "true"], {}, "/", **{**more, **fields})


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_container_of_any_user_can_use_what_nobody_else_reaches(home: Path) -> None:
    Ownership(order(home)).prepare()
    assert mode(home) == 0o700
    assert mode(home / "work") == mode(home / "work" / "deep" / "run") == 0o777
    assert mode(home / "outputs") == 0o666


def test_what_others_could_reach_stays_closed(home: Path) -> None:
    home.chmod(0o711)
    Ownership(order(home)).prepare()
    assert (mode(home / "work"), mode(home / "outputs")) == (0o700, 0o600)


def test_a_separate_job_is_its_user_in_the_container_too(home: Path) -> None:
    ownership = Ownership(order(home, uid=4321, gid=4322, groups=[7]))
    assert ownership.words == ["--user=4321:4322", "--group-add=7"]
    ownership.prepare()
    assert mode(home / "work") == 0o700


def test_root_takes_all_by_itself(home: Path) -> None:
    if os.geteuid() == 0:
        os.chown(home / "work" / "deep", 4321, 4321)
    assert Ownership(order(home)).restore() == ""
    assert not (home.parent / "engine" / "calls").exists()


def test_another_user_has_files_given_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whose they are is judged by this number; that a real container gives them is seen in
    # tests/containers.
    me = os.geteuid()
    monkeypatch.setattr("remote_agent.shim.workload.ownership.os.geteuid", lambda: me + 1)
    said = Ownership(order(home)).restore()
    called = json.loads((home.parent / "engine" / "given-back").read_text())
    folders = [str(home / "work"), str(home / "outputs")]
    assert called == ["--entrypoint=chown", "-Rh", f"{me + 1}:{os.getegid()}", *folders]
    assert "they stay until root removes them" in said
