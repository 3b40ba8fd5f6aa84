"""What pages are served with comes from pinned packages, unchanged. Fetches nothing."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import tarfile
from base64 import b64encode
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
STATIC = ROOT / "server" / "remote_server" / "web" / "pages" / "static"


def script() -> ModuleType:
    """The script of `make assets`, which stands in no package."""
    path = ROOT / "requirements" / "bring_assets.py"
    spec = importlib.util.spec_from_file_location("bring_assets", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def packed(name: str, content: bytes) -> bytes:
    """A package as npm packs it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def test_every_package_on_the_list_is_there() -> None:
    others = script().parse((ROOT / "tests" / "browser" / "packages.txt").read_text())
    assert {wanted.package for wanted in others} == {"axe-core", "typescript"}
    listed = script().parse((ROOT / "requirements" / "assets.txt").read_text())
    assert [wanted.name for wanted in listed] == ["idiomorph.js"]
    assert all((STATIC / wanted.name).stat().st_size > 1000 for wanted in listed)


def test_only_the_pinned_package_is_taken(tmp_path: Path) -> None:
    module = script()
    archive = packed("package/x.js", b"let x;")
    integrity = "sha512-" + b64encode(hashlib.sha512(archive).digest()).decode()
    one, folder, missing = module.parse(
        f"# comment\nx 1.0 {integrity} package/x.js x.js\nx 1.0 {integrity} package/ all\n"
        f"x 1.0 {integrity} package/y.js y.js\n"
    )
    module.keep(archive, one, tmp_path)
    module.keep(archive, folder, tmp_path)
    assert (tmp_path / "x.js").read_bytes() == (tmp_path / "all" / "x.js").read_bytes() == b"let x;"
    with pytest.raises(ValueError, match="has no file"):
        module.keep(archive, missing, tmp_path)
    with pytest.raises(ValueError, match="not what was pinned"):
        module.keep(packed("package/x.js", b"let y;"), one, tmp_path)


def test_a_faulty_list_is_named() -> None:
    with pytest.raises(ValueError, match="line 2"):
        script().parse("# comment\nx 1.0 sha1-abc a b\n")
