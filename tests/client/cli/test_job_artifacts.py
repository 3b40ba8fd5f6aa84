"""`remotectl job artifacts`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_api import ID, Answer, FakeApi, Said

DATA = b"0123456789" * 1000
SUM = hashlib.sha256(DATA).hexdigest()


def item(number: int, name: str, **fields: Any) -> dict[str, Any]:
    known = {"number": number, "name": name, "size": len(DATA), "state": "complete", "sha256": SUM}
    return {**known, "reason": None, **fields}


def on(api: FakeApi, *items: dict[str, Any], **fields: Any) -> None:
    known = {"attempt": 2, "expected": len(items), "complete": True, "warning": None}
    api.on("GET", f"/jobs/{ID}/artifacts", {**known, "items": list(items), **fields})


def content(said: Said) -> Answer:
    rest = DATA[int(said.query.get("offset", 0)) :]
    return Answer(rest, headers={"Remote-Artifact-Size": str(len(DATA))})


def test_list(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str]) -> None:
    failed = item(2, "b", state="failed", reason="it is gone", sha256=None)
    on(api, item(1, "d/a"), failed, expected=3, complete=False, warning="one was left out")
    assert ctl("job", "artifacts", "list", ID, "--attempt", "2") == 0
    out, err = capsys.readouterr()
    assert "d/a" in out and "9.8 KiB" in out and "it is gone" in out
    assert "one was left out" in err and "1 more of its files" in err
    assert api.calls[-1].query == {"attempt": "2"}
    assert ctl("job", "artifacts", "list", ID, "-q") == 0
    assert capsys.readouterr().out == "d/a\nb\n"
    assert ctl("job", "artifacts", "list", ID, "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["sha256"] == SUM
    on(api)
    assert ctl("job", "artifacts", "list", ID) == 0
    assert "no files back" in "".join(capsys.readouterr())


def test_get(api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    on(api, item(1, "d/a ü"), item(2, "b"))
    api.on("GET", f"/jobs/{ID}/artifacts/d/a%20%C3%BC", Answer(DATA[:5000], breaks=True), content)
    api.on("GET", f"/jobs/{ID}/artifacts/b", content)
    assert ctl("job", "artifacts", "get", ID, "--dir", str(tmp_path / "got")) == 0
    assert capsys.readouterr().out == f"{tmp_path}/got/d/a ü\n{tmp_path}/got/b\n"
    assert (tmp_path / "got" / "d" / "a ü").read_bytes() == DATA
    assert (tmp_path / "got" / "b").read_bytes() == DATA
    resumed = [said.query for said in api.calls if said.path.endswith("BC")]
    assert resumed == [{"attempt": "2", "offset": "0"}, {"attempt": "2", "offset": "5000"}]
    assert ctl("job", "artifacts", "get", ID, "--dir", str(tmp_path / "got")) == 0
    out, err = capsys.readouterr()
    assert out == "" and "b is there already" in err


def test_get_by_name(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    on(api, item(1, "a"), item(2, "b", state="uploading"))
    api.on("GET", f"/jobs/{ID}/artifacts/a", content)
    assert ctl("job", "artifacts", "get", ID, "a", "--dir", str(tmp_path)) == 0
    assert ctl("job", "artifacts", "get", ID, "b", "c", "--dir", str(tmp_path)) == 1
    err = capsys.readouterr().err
    assert "no artifact 'c'" in err and "b: it is still being uploaded" in err


def test_get_what_a_hostile_server_names(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    on(api, item(1, "../evil"), item(2, "/etc/evil"), item(3, "wrong", sha256="0" * 64))
    api.on("GET", f"/jobs/{ID}/artifacts/wrong", content)
    assert ctl("job", "artifacts", "get", ID, "--dir", str(tmp_path / "got")) == 1
    err = capsys.readouterr().err
    assert err.count("its name is refused") == 2 and "another checksum" in err
    assert not (tmp_path / "evil").exists() and not list((tmp_path / "got").iterdir())


def test_get_when_not_all_have_come(
    api: FakeApi, ctl: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    on(api, expected=1, complete=False)
    assert ctl("job", "artifacts", "get", ID, "--dir", str(tmp_path)) == 1
    assert "have not begun to come" in capsys.readouterr().err
    on(api)
    assert ctl("job", "artifacts", "get", ID, "--dir", str(tmp_path)) == 0
    assert "gave no files back" in capsys.readouterr().err
