"""The files that probes look at."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from remote_agent.local.health_files import EVERY, OLDEST, HealthFiles, fresh
from remote_agent.sections import TelemetryPart


@pytest.fixture
def live(tmp_path: Path) -> Path:
    return tmp_path / "run" / "live"


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    return tmp_path / "run" / "ready"


@pytest.fixture
def files(live: Path, ready: Path) -> HealthFiles:
    return HealthFiles(TelemetryPart(liveness_file=live, readiness_file=ready))


def test_alive_while_the_loop_turns_and_ready_while_connected(
    files: HealthFiles, live: Path, ready: Path
) -> None:
    files.turn(100.0, ready=False)
    assert fresh(live) and not ready.exists()
    files.turn(100.1, ready=True)
    assert fresh(live) and fresh(ready)
    assert live.read_text() == ready.read_text() == f"{os.getpid()}\n"
    files.turn(100.2, ready=False)
    assert fresh(live) and not ready.exists()
    files.turn(100.3, ready=True)
    files.remove()
    assert not list(live.parent.iterdir()), "nothing stays, nothing temporary either"
    files.remove()


def test_written_again_every_few_seconds(files: HealthFiles, live: Path, ready: Path) -> None:
    files.turn(100.0, ready=True)
    for path in (live, ready):
        os.utime(path, (1.0, 1.0))
    files.turn(100.0 + EVERY / 2, ready=True)
    assert not fresh(live) and not fresh(ready)
    files.turn(100.0 + EVERY, ready=True)
    assert fresh(live) and fresh(ready)


def test_what_a_killed_agent_left(files: HealthFiles, live: Path, ready: Path) -> None:
    live.parent.mkdir()
    (live.parent / ".live.new").write_text("half")
    ready.write_text("1\n")
    old = time.time() - OLDEST - 1
    os.utime(ready, (old, old))
    assert not fresh(ready)
    files.turn(1.0, ready=False)
    assert fresh(live) and [path.name for path in live.parent.iterdir()] == ["live"]


def test_no_link_is_followed(files: HealthFiles, live: Path, tmp_path: Path) -> None:
    live.parent.mkdir()
    (tmp_path / "precious").write_text("kept")
    for name in ("live", ".live.new"):
        (live.parent / name).symlink_to(tmp_path / "precious")
    files.turn(1.0, ready=False)
    assert (tmp_path / "precious").read_text() == "kept"
    assert live.read_text() == f"{os.getpid()}\n" and not live.is_symlink()


def test_others_may_read_them_whatever_the_umask(files: HealthFiles, live: Path) -> None:
    before = os.umask(0o077)
    try:
        files.turn(1.0, ready=False)
    finally:
        os.umask(before)
    assert live.stat().st_mode & 0o777 == 0o644


def test_a_place_that_cannot_be_written_stops_nothing(
    tmp_path: Path, live: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    files = HealthFiles(
        TelemetryPart(liveness_file=tmp_path / "file" / "live", readiness_file=live)
    )
    for number in range(3):
        files.turn(number * EVERY, ready=True)
        assert fresh(live)
    assert capsys.readouterr().out.count("a file for probes cannot be kept") == 1


def test_others_after_a_reload(files: HealthFiles, live: Path, ready: Path) -> None:
    files.turn(1.0, ready=True)
    files.move(TelemetryPart(liveness_file=live.with_name("other")))
    assert not live.exists() and not ready.exists()
    files.turn(1.1, ready=True)
    assert fresh(live.with_name("other")) and not ready.exists()


def test_none_are_wanted() -> None:
    files = HealthFiles(TelemetryPart())
    files.turn(1.0, ready=True)
    files.remove()
    assert not fresh(None)
