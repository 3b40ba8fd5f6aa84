"""Bring the packages that pages are served with: `make assets` calls it.

    python3 requirements/bring_assets.py requirements/assets.txt FOLDER

Each line of the list is a package, its version, its integrity (as npm writes it), a file in it and
the name under which it is kept in FOLDER. npm fetches them; what differs from its hash is not
taken. Nothing of a package is run. Standard library only.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from base64 import b64encode
from pathlib import Path
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


def taken(archive: bytes, wanted: Wanted) -> bytes:
    """The file of a package. ValueError when the package is not the one that was pinned."""
    hashed = "sha512-" + b64encode(hashlib.sha512(archive).digest()).decode()
    if hashed != wanted.integrity:
        raise ValueError(
            f"{wanted.package} {wanted.version} is not what was pinned: it has the integrity "
            f"{hashed}, the list says {wanted.integrity}"
        )
    with tempfile.TemporaryFile() as file:
        file.write(archive)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as packed:
            member = packed.extractfile(wanted.member)
            if member is None:
                raise ValueError(f"{wanted.package} has no file {wanted.member}")
            return member.read()


def bring(wanted: Wanted, folder: Path) -> None:
    """Fetch a package and keep its file. CalledProcessError when npm fails."""
    with tempfile.TemporaryDirectory() as place:
        name = f"{wanted.package}@{wanted.version}"
        subprocess.run(
            ["npm", "pack", "--silent", name], cwd=place, check=True, stdout=subprocess.DEVNULL
        )
        (archive,) = Path(place).iterdir()
        (folder / wanted.name).write_bytes(taken(archive.read_bytes(), wanted))


def main() -> None:
    """Bring everything on the list."""
    listed, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for wanted in parse(listed.read_text(encoding="utf-8")):
        bring(wanted, folder)
        print(f"{wanted.name}: {wanted.package} {wanted.version}")


if __name__ == "__main__":
    main()
