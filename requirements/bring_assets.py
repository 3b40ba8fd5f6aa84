"""Bring the packages that pages are served with: `make assets` calls it.

    python3 requirements/bring_assets.py requirements/assets.txt FOLDER

Each line of the list is a package, its version, its integrity (as npm writes it), a file in it (or
a folder, with a slash at its end) and the name under which it is kept in FOLDER. npm fetches them;
what differs from its hash is not taken. Nothing of a package is run. Standard library only.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from base64 import b64encode
from pathlib import Path, PurePosixPath
from typing import NamedTuple


class Wanted(NamedTuple):
    """One line of the list."""

    package: str
    version: str
    integrity: str
    member: str
    name: str


def parse(text: str) -> list[Wanted]:
    """The lines of a list; comments are passed over. ValueError for others."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line and not line.startswith("#"):
            parts = line.split()
            if len(parts) != len(Wanted._fields) or not parts[2].startswith("sha512-"):
                raise ValueError(f"line {number} is not: PACKAGE VERSION sha512-… FILE NAME")
            found.append(Wanted(*parts))
    return found


def check(archive: bytes, wanted: Wanted) -> None:
    """ValueError when a package is not the one that was pinned."""
    hashed = "sha512-" + b64encode(hashlib.sha512(archive).digest()).decode()
    if hashed != wanted.integrity:
        raise ValueError(
            f"{wanted.package} {wanted.version} is not what was pinned: it has the integrity "
            f"{hashed}, the list says {wanted.integrity}"
        )


def keep(archive: bytes, wanted: Wanted, folder: Path) -> None:
    """Keep the file or folder of a package. ValueError when there is no such thing in it, or it is
    not the pinned one."""
    check(archive, wanted)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as packed:
        kept = 0
        for member in packed.getmembers():
            whole = wanted.member.endswith("/") and member.name.startswith(wanted.member)
            content = packed.extractfile(member) if member.isfile() else None
            if content is None or not (whole or member.name == wanted.member):
                continue
            inner = PurePosixPath(member.name[len(wanted.member) :])
            if ".." in inner.parts or inner.is_absolute():
                raise ValueError(f"{wanted.package} has a file outside of its folders")
            path = folder / wanted.name / inner if whole else folder / wanted.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
            kept += 1
    if not kept:
        raise ValueError(f"{wanted.package} has no file {wanted.member}")


def bring(wanted: Wanted, folder: Path) -> None:
    """Fetch a package and keep what is wanted of it. CalledProcessError when npm fails."""
    with tempfile.TemporaryDirectory() as place:
        name = f"{wanted.package}@{wanted.version}"
        command = ["npm", "pack", "--silent", name]
        subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(place).iterdir()
        keep(archive.read_bytes(), wanted, folder)


def main() -> None:
    """Bring everything on the list."""
    listed, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for wanted in parse(listed.read_text(encoding="utf-8")):
        bring(wanted, folder)
        print(f"{wanted.name}: {wanted.package} {wanted.version}")


if __name__ == "__main__":
    main()
