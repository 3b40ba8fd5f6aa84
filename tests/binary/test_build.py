"""What `make build` leaves in `dist`: small, the same each time, with its papers, and no paths."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.binary.conftest import ROOT

BUILDER = ROOT / ".venv-build" / "bin" / "python"
BINARIES = ("remote-agent", "remotectl")


def carried(name: str) -> Iterator[tuple[str, bytes]]:
    """The files that a binary carries, unpacked."""
    folder = ROOT / "build" / "binary" / "unpacker" / name
    payload, offset = (folder / "payload.bin").read_bytes(), 0
    for line in (folder / "index.txt").read_text().splitlines():
        if line.startswith(("file ", "library ")):
            _, _, size, packed, _, path = line.split(" ", 5)
            content = zlib.decompress(payload[offset : offset + int(packed)], -15)
            assert len(content) == int(size)
            offset += int(packed)
            yield path, content
    assert offset == len(payload)


@pytest.mark.parametrize("name", BINARIES)
def test_it_is_small_and_asks_for_nothing(dist: Path, name: str) -> None:
    assert (dist / name).stat().st_size <= 18_000_000
    needed = subprocess.run(
        ["objdump", "-p", dist / name], capture_output=True, text=True, check=True
    ).stdout
    assert "NEEDED" not in needed and "INTERP" not in needed


@pytest.mark.parametrize("name", BINARIES)
def test_nothing_says_where_this_machine_keeps_its_sources(dist: Path, name: str) -> None:
    ours = {str(ROOT), sys.prefix, sys.base_prefix, str(ROOT / ".venv-build")}
    ours |= {str(entry) for entry in Path.home().iterdir()}
    pattern = re.compile("|".join(re.escape(path) for path in ours).encode())
    # The one who compiled pydantic_core was root, too.
    foreign = re.compile(rb"/root/\.(cargo|rustup)/")
    found = []
    for path, content in [*carried(name), (name, (dist / name).read_bytes())]:
        if path.endswith(".zip") or path == name:
            content += _modules(name)
        found += [
            f"{path}: {content[match.start() : match.start() + 80]!r}"
            for match in pattern.finditer(content)
            if not foreign.match(content, match.start())
        ]
    assert found == []


def _modules(name: str) -> bytes:
    """The code in the archives of PyInstaller, which are compressed."""
    program = (
        "import sys, marshal\n"
        "from PyInstaller.archive.readers import CArchiveReader\n"
        "from PyInstaller.loader.pyimod01_archive import ZlibArchiveReader\n"
        "reader = ZlibArchiveReader(sys.argv[1])\n"
        "for module in sorted(reader.toc):\n"
        "    code = reader.extract(module)\n"
        "    sys.stdout.buffer.write(marshal.dumps(code) if code else b'')\n"
    )
    archive = ROOT / "build" / "binary" / "analysis" / name / "PYZ-00.pyz"
    return subprocess.run([BUILDER, "-c", program, archive], capture_output=True, check=True).stdout


@pytest.mark.timeout(900)
def test_a_second_build_is_the_same(dist: Path, tmp_path: Path) -> None:
    """In another folder, with another umask, locale, hash seed and time zone. The time is that of
    the commit from which the first one was made."""
    made = json.loads((dist / "remotectl.cdx.json").read_text())["metadata"]["timestamp"]
    epoch = int(datetime.fromisoformat(made).timestamp())
    subprocess.run(
        [BUILDER, ROOT / "installers" / "binary" / "build.py",
         "--work", tmp_path / "work", "--output", tmp_path / "dist"],
        env={**os.environ, "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7",
             "SOURCE_DATE_EPOCH": str(epoch)},
        umask=0o077, check=True, capture_output=True, timeout=600,
    )  # fmt: skip
    names = {path.name for path in dist.iterdir()}
    assert {path.name for path in (tmp_path / "dist").iterdir()} == names
    different = [
        name
        for name in sorted(names)
        if (dist / name).read_bytes() != (tmp_path / "dist" / name).read_bytes()
    ]
    assert different == []


def test_the_sums_are_right(dist: Path) -> None:
    subprocess.run(["sha256sum", "--strict", "--check", "SHA256SUMS"], cwd=dist, check=True)
    summed = {line.split()[1] for line in (dist / "SHA256SUMS").read_text().splitlines()}
    assert summed == {path.name for path in dist.iterdir()} - {"SHA256SUMS", "SHA256SUMS.sig"}


@pytest.mark.parametrize("name", BINARIES)
def test_the_bill_of_materials_is_valid_and_whole(dist: Path, name: str) -> None:
    file = dist / f"{name}.cdx.json"
    program = (
        "import sys\n"
        "from cyclonedx.schema import SchemaVersion\n"
        "from cyclonedx.validation.json import JsonStrictValidator\n"
        "sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()))\n"
    )
    subprocess.run([BUILDER, "-c", program, file], check=True)
    document = json.loads(file.read_text())
    named = {component["name"] for component in document["components"]}
    assert {"cpython", "glibc", "openssl", "go", "pyinstaller", "pydantic", "remote-agent"} <= named
    assert ("websockets" in named) == (name == "remote-agent")
    assert ("click" in named) == (name == "remotectl")
    assert all(component["licenses"] for component in document["components"])
    texts = (dist / "LICENSES.txt").read_text()
    for component in document["components"]:
        assert f"\n{component['name']} {component['version']}: " in texts, component["name"]


def test_the_unpacker_is_formatted_and_vetted(dist: Path) -> None:
    go = Path(
        subprocess.run(
            [BUILDER, "-c", "import go; print(go.__path__[0])"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    sources = ROOT / "build" / "binary" / "unpacker" / "remote-agent"
    badly = subprocess.run(
        [go / "bin" / "gofmt", "-l", sources], capture_output=True, text=True, check=True
    ).stdout
    assert badly == ""
    env = {"PATH": os.environ["PATH"], "GOCACHE": str(ROOT / "build" / "go-cache"), "GOENV": "off"}
    env |= {"GOPROXY": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "HOME": str(sources)}
    subprocess.run([go / "bin" / "go", "vet", "."], cwd=sources, env=env, check=True)
