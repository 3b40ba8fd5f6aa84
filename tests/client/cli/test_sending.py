"""`remotectl run` with files that are sent before the job."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from remote_client.cli import sending
from remote_protocol.limits import MAX_FILES_SIZE
from tests.support.fake_api import ID, FakeApi, Said

DATA = bytes(range(256)) * (MAX_FILES_SIZE // 256 + 1)
DIGEST = hashlib.sha256(DATA).hexdigest()


def server(api: FakeApi) -> bytearray:
    """What the server has of the content."""
    have = bytearray()

    def shown() -> dict[str, Any]:
        state = "complete" if bytes(have) == DATA else "uploading"
        return {"digest": DIGEST, "received": len(have), "state": state, "ttl": 60.0}

    def take(said: Said) -> dict[str, Any]:
        have[int(said.query["offset"]) :] = said.body
        return shown()

    api.on("GET", f"/contents/{DIGEST}", lambda said: shown())
    api.on("PATCH", f"/contents/{DIGEST}", take)
    api.on("POST", "/jobs", {"id": ID, "state": "queued"})
    return have


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(DATA)
    return path


def test_files_go_first(
    api: FakeApi,
    ctl: Any,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    have = server(api)
    monkeypatch.setattr(sending, "_SAID_EVERY", 0.0)
    assert ctl("run", "--detach", "-n", "--file", str(file), "--", "x") == 0
    assert bytes(have) == DATA
    assert api.calls[-1].body["files"][0]["digest"] == DIGEST
    err = capsys.readouterr().err
    assert f"sending {file}: 1.0 MiB of 6.0 MiB are there" in err
    assert f"sent {file}: 6.0 MiB" in err
    sent = sum(call.method == "PATCH" for call in api.calls)
    assert ctl("run", "--detach", "-n", "--file", str(file), "--", "x") == 0
    assert sum(call.method == "PATCH" for call in api.calls) == sent


def test_an_interruption_submits_nothing(
    api: FakeApi,
    ctl: Any,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server(api)

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(sending, "send_content", interrupted)
    assert ctl("run", "--detach", "-n", "--file", str(file), "--", "x") == 130
    assert (
        "no job was submitted; the same call goes on where this one was" in capsys.readouterr().err
    )
    assert not [call for call in api.calls if call.path.endswith("/jobs")]


def test_explaining_sends_nothing(api: FakeApi, ctl: Any, file: Path) -> None:
    server(api)
    api.on("POST", "/jobs/explain", {"outlook": "now", "reason": "", "refusals": [], "agents": []})
    assert ctl("run", "--explain", "-n", "--file", str(file), "--", "x") in (0, 1)
    assert not [call for call in api.calls if call.method == "PATCH"]
