"""Which files of a job become artifacts, and which are left out, in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from remote_agent.processes import Folder
from remote_agent.shim import artifacts as module
from remote_agent.shim.artifacts import list_artifacts
from remote_agent.shim.order import Order
from remote_protocol.limits import MAX_ARTIFACTS
from tests.support.shim_harness import ShimHarness
from tests.support.shim_seams import extended_client

ORDER = Order("J.1", ["true"], {}, "/", sync=False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "artifacts").mkdir()
    return tmp_path


def listed(place: Path, order: Order = ORDER) -> tuple[dict[str, Any], list[list[Any]]]:
    order = order._replace(home=order.home or str(place))
    with Folder(place) as folder:
        said = list_artifacts(folder, order, None)
    file = place / "artifacts.json"
    return said, sorted(json.loads(file.read_text())["files"]) if file.exists() else []


def test_none(place: Path) -> None:
    assert listed(place) == ({}, [])
    (place / "artifacts" / "empty folder").mkdir()
    assert listed(place) == ({}, [])
    (place / "artifacts" / "empty folder").rmdir()
    (place / "artifacts").rmdir()
    assert listed(place) == ({}, [])
    (place / "artifacts").symlink_to("/etc")
    said, files = listed(place)
    assert "was not looked at" in said["artifacts_warning"] and not files


def test_files(place: Path) -> None:
    (place / "artifacts" / "d").mkdir()
    (place / "artifacts" / "d" / "b").write_bytes(b"12")
    (place / "artifacts" / "a").touch()
    said, files = listed(place)
    assert said == {"artifacts": 2, "artifacts_warning": ""}
    assert files == [["a", 0], ["d/b", 2]]


def test_what_is_left_out(place: Path) -> None:
    folder = place / "artifacts"
    (folder / "good").touch()
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "back\\slash").touch()
    (folder / "esc\x1b").touch()
    (folder / "large").write_bytes(bytes(101))
    said, files = listed(place, ORDER._replace(max_artifacts=100))
    assert said["artifacts"] == 1 and files == [["good", 0]]
    warning = said["artifacts_warning"]
    assert warning.startswith("artifacts were left out: ") and warning.endswith("; and 1 more")
    assert "\x1b" not in warning


def test_bounds(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(MAX_ARTIFACTS + 5):
        (place / "artifacts" / f"f{number}").touch()
    said, files = listed(place)
    assert said["artifacts"] == len(files) == MAX_ARTIFACTS
    assert "there are more than 1000 files" in said["artifacts_warning"]
    (place / "artifacts.json").unlink()
    monkeypatch.setattr(module, "_MOST_LOOKED_AT", 10)
    said, files = listed(place)
    assert said["artifacts"] == 10
    assert said["artifacts_warning"].endswith("there are more than 10 files and folders")


def test_whose_user_they_were(place: Path) -> None:
    (place / "artifacts" / "a").touch()
    listed(place, ORDER._replace(uid=7, exclusive_user=True))
    assert json.loads((place / "artifacts.json").read_text())["uid"] == 7


def test_a_job(harness: ShimHarness) -> None:
    directory = harness.make(["sh", "-c", "echo hi > ../artifacts/a; exit 3"])
    (directory / "artifacts").mkdir()
    harness.shims.request(directory)
    record = harness.ended(directory)
    assert (record["exit_code"], record["artifacts"]) == (3, 1)
    assert json.loads((directory / "artifacts.json").read_text())["files"] == [["a", 3]]
    plain = harness.run(["true"])
    assert "artifacts" not in plain.record


def test_a_name_that_holds_a_secret(tmp_path: Path) -> None:
    with extended_client():
        harness = ShimHarness(tmp_path / "state")
        harness.shims.start(1)
        try:
            text = "touch ../artifacts/$S ../artifacts/x"
            directory = harness.make(["sh", "-c", text], secrets=["S"], filter="redact")
            (directory / "artifacts").mkdir()
            harness.shims.request(directory, {"S": "hunter2"})
            record = harness.ended(directory)
        finally:
            harness.close()
    assert record["artifacts"] == 1
    assert "a file: its name holds a secret of the job" in record["artifacts_warning"]
    said = (directory / "exit.json").read_text() + (directory / "artifacts.json").read_text()
    assert "hunter2" not in said
