"""Bundles of `run --bundle`: packed the same way each time, judged before anything is sent."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from remote_client.cli.bundle import LEFT_OUT, Bundle
from remote_client.errors import UsageError


def app(root: Path) -> Path:
    folder = root / "app"
    (folder / "pkg").mkdir(parents=True)
    (folder / "main.py").write_text("print(1)")
    (folder / "pkg" / "__init__.py").write_text("")
    (folder / "run.sh").write_text("#!/bin/sh")
    (folder / "run.sh").chmod(0o755)
    return folder


def packed(bundle: Bundle) -> dict[str, bytes]:
    with bundle.content().opened() as file:
        data = file.read() if not file.seek(0) else b""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_directory_is_packed_the_same_way_each_time(tmp_path: Path) -> None:
    folder = app(tmp_path)
    first = Bundle(str(folder))
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    (folder / "main.py").chmod(0o600)
    second = Bundle(f"{folder}/")
    assert first.content().digest == second.content().digest
    assert list(packed(first)) == ["main.py", "pkg/__init__.py", "run.sh"]
    (folder / "main.py").write_text("print(2)")
    assert Bundle(str(folder)).content().digest != first.content().digest
    described = first.described(first.content())
    assert described["form"] == "directory" and "name" not in described


def test_what_is_left_out(tmp_path: Path) -> None:
    folder = app(tmp_path)
    for name in LEFT_OUT:
        (folder / "pkg" / name.replace("*", "x")).mkdir()
        (folder / "pkg" / name.replace("*", "x") / "f").write_text("x")
    (folder / "my-env").mkdir()
    (folder / "my-env" / "pyvenv.cfg").write_text("")
    (folder / "old.pyc").write_text("")
    (folder / ".env").write_text("stays")
    assert list(packed(Bundle(str(folder)))) == [".env", "main.py", "pkg/__init__.py", "run.sh"]


def test_links(tmp_path: Path) -> None:
    folder = app(tmp_path)
    (folder / "again.py").symlink_to("main.py")
    assert packed(Bundle(str(folder)))["again.py"] == b"print(1)"
    (tmp_path / "secret").write_text("secret")
    (folder / "out").symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError, match="out is a link that leads out of it"):
        Bundle(str(folder))
    (folder / "out").unlink()
    (folder / "d").symlink_to(tmp_path)
    with pytest.raises(UsageError, match="d is a link to a folder"):
        Bundle(str(folder))
    (folder / "d").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(UsageError, match="pipe is no plain file"):
        Bundle(str(folder))


def test_what_runs(tmp_path: Path) -> None:
    bundle = Bundle(str(app(tmp_path)))
    assert bundle.entry("main.py") == bundle.entry("./main.py") == "main.py"
    with pytest.raises(UsageError, match=r"other\.py is not in the bundle"):
        bundle.entry("other.py")


def test_what_it_requires(tmp_path: Path) -> None:
    folder = app(tmp_path)
    assert Bundle(str(folder)).text("requirements.txt") is None
    assert Bundle(str(folder)).dependencies() is None
    (folder / "requirements.txt").write_text("a==1\n")
    (folder / "pyproject.toml").write_text('[project]\ndependencies = ["b>=2", "c"]\n')
    bundle = Bundle(str(folder))
    assert bundle.text("requirements.txt") == "a==1\n"
    assert bundle.dependencies() == ["b>=2", "c"]
    (folder / "pyproject.toml").write_text("[project")
    with pytest.raises(UsageError, match=r"pyproject.toml in the bundle .*"):
        Bundle(str(folder)).dependencies()


def test_zips_and_wheels(tmp_path: Path) -> None:
    path = tmp_path / "b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("run.py", "print(1)")
    bundle = Bundle(str(path))
    assert bundle.form == "zip" and bundle.entry("run.py") == "run.py"
    wheel = path.rename(tmp_path / "tool-1.0-py3-none-any.whl")
    bundle = Bundle(str(wheel))
    assert bundle.described(bundle.content())["name"] == wheel.name
    with pytest.raises(UsageError, match="give --module NAME"):
        bundle.entry("run.py")


def test_what_is_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no zip")
    with pytest.raises(UsageError, match="is no zip archive; give a directory"):
        Bundle(str(tmp_path / "text"))
    with pytest.raises(UsageError, match="No such file"):
        Bundle(str(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no files to send"):
        Bundle(str(tmp_path / "empty"))


def test_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remote_client.cli.bundle.MAX_BUNDLE_FILES", 2)
    with pytest.raises(UsageError, match="has more than 2 files"):
        Bundle(str(app(tmp_path)))
    monkeypatch.setattr("remote_client.cli.bundle.MAX_BUNDLE_FILES", 9)
    monkeypatch.setattr("remote_client.cli.bundle.MAX_BUNDLE", 5)
    with pytest.raises(UsageError, match="3 files and 17 B unpacked"):
        Bundle(str(tmp_path / "app"))
