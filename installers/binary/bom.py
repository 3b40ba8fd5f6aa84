"""What a binary is made of: a bill of materials (CycloneDX 1.6) for each, and all licences.

Every file of the program belongs to a distribution, to Python, or to a library of the building
machine that is named here with its licence: what is unknown fails the build. Touches files in the
output folder.
"""

from __future__ import annotations

import hashlib
import importlib.metadata as metadata
import importlib.util
import platform
import re
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from installers.binary.freeze import HERE, sources
from installers.binary.payload import LIBC, BuildError, libc_files

LICENCES: Final = "LICENSES.txt"
_SYSTEM: Final = {
    # By the beginning of a file's name: what it belongs to, and under which licence (SPDX).
    "libcrypto": ("openssl", "Apache-2.0"),
    "libssl": ("openssl", "Apache-2.0"),
    "libz": ("zlib", "Zlib"),
    "libffi": ("libffi", "MIT"),
    "liblzma": ("xz-utils", "0BSD"),
    "libbz2": ("bzip2", "bzip2-1.0.6"),
    "libuuid": ("util-linux", "BSD-3-Clause"),
    "libexpat": ("expat", "MIT"),
    "libgcc_s": ("gcc", "GPL-3.0-or-later WITH GCC-exception-3.1"),
    "libstdc++": ("gcc", "GPL-3.0-or-later WITH GCC-exception-3.1"),
}
_SPELLED: Final = {
    # Distributions that do not say it as an SPDX expression.
    "pyinstaller": "GPL-2.0-or-later WITH Bootloader-exception",
    "markdown-it-py": "MIT",
    "mdurl": "MIT",
}
_LIBC: Final = ("glibc", "LGPL-2.1-or-later")


class Part(NamedTuple):
    """One component: its purl says what kind it is."""

    name: str
    version: str
    licence: str
    purl: str
    text: str
    """The licence's own words, as far as they came along."""


def parts(name: str, work: Path, version: str, loader: str) -> list[Part]:
    """The components of a frozen program, by name. BuildError for a file that belongs to none."""
    found = {_go(), _bootloader(), _python(), *filter(None, map(_system, libc_files(loader)))}
    strangers = []
    for source in sources(name, work):
        part = _part(source.origin, work, version)
        if part is None:
            strangers.append(f"{source.name} ({source.origin})")
        else:
            found.add(part)
    if strangers:
        raise BuildError(f"no component is known for {', '.join(strangers)}; see _SYSTEM in bom.py")
    return sorted(found)


def write(name: str, version: str, parts: Iterable[Part], output: Path, epoch: int) -> None:
    """Write `NAME.cdx.json` for the binary that is there."""
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.model.license import LicenseExpression
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    sum_ = hashlib.sha256((output / name).read_bytes()).hexdigest()
    bom = Bom(serial_number=uuid.uuid5(uuid.NAMESPACE_OID, sum_))
    bom.metadata.timestamp = datetime.fromtimestamp(epoch, UTC)
    subject = Component(
        name=name,
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=name,
        licenses=[LicenseExpression("Apache-2.0")],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sum_)],
    )
    bom.metadata.component = subject
    components = [
        Component(
            name=part.name,
            version=part.version,
            type=ComponentType.LIBRARY,
            bom_ref=part.purl,
            purl=PackageURL.from_string(part.purl),
            licenses=[LicenseExpression(part.licence)],
        )
        for part in parts
    ]
    bom.components.update(components)
    bom.register_dependency(subject, components)
    (output / f"{name}.cdx.json").write_text(JsonV1Dot6(bom).output_as_string(indent=2) + "\n")


def write_licences(parts: Iterable[Part], output: Path) -> None:
    """Write the licences of everything in the binaries, one after the other."""
    rule = "=" * 78
    texts = [
        f"{rule}\n{part.name} {part.version}: {part.licence}\n{rule}\n\n{part.text.strip()}\n"
        for part in sorted(set(parts))
    ]
    (output / LICENCES).write_text("\n".join(texts), encoding="utf-8")


def _part(origin: Path, work: Path, version: str) -> Part | None:
    """The component that a file comes from."""
    if origin.is_relative_to(work) or origin.is_relative_to(HERE):
        return _ours(version)
    if origin in _owners():
        return _distribution(_owners()[origin])
    if origin.is_relative_to(sys.base_prefix) or origin.name.startswith("libpython"):
        return _python()
    return _system(origin)


def _ours(version: str) -> Part:
    text = (HERE.parent.parent / "LICENSE").read_text(encoding="utf-8")
    return Part("remote-agent", version, "Apache-2.0", f"pkg:pypi/remote-agent@{version}", text)


@cache
def _owners() -> dict[Path, str]:
    """Which distribution of the environment each file belongs to."""
    return {
        Path(str(distribution.locate_file(file))).resolve(): distribution.name
        for distribution in metadata.distributions()
        for file in distribution.files or ()
    }


@cache
def _distribution(name: str) -> Part:
    found = metadata.distribution(name)
    said = found.metadata.json
    licence = str(said.get("license_expression") or said.get("license") or "")
    licence = _SPELLED.get(found.name, licence)
    if not licence or "\n" in licence:
        raise BuildError(f"{name} does not say its licence as an SPDX expression; see _SPELLED")
    texts = [
        Path(str(found.locate_file(file))).read_text(encoding="utf-8")
        for file in sorted(found.files or ())
        if re.match(r"(licen[cs]e|copying|notice)", file.name, re.IGNORECASE)
    ]
    canonical = re.sub(r"[-_.]+", "-", found.name).lower()
    purl = f"pkg:pypi/{canonical}@{found.version}"
    return Part(canonical, found.version, licence, purl, "\n".join(texts))


@cache
def _python() -> Part:
    version = platform.python_version()
    text = (Path(sysconfig.get_path("stdlib")) / "LICENSE.txt").read_text(encoding="utf-8")
    return Part("cpython", version, "PSF-2.0", f"pkg:generic/cpython@{version}", text)


@cache
def _go() -> Part:
    """The Go run time, which is a part of the unpacker."""
    folder = Path(str(importlib.util.find_spec("go").origin)).parent  # type: ignore[union-attr]
    version = (folder / "VERSION").read_text().split()[0].removeprefix("go")
    # The package leaves out the one at the top; this is the same text, of the same authors.
    text = (folder / "src/vendor/golang.org/x/sys/LICENSE").read_text(encoding="utf-8")
    return Part("go", version, "BSD-3-Clause", f"pkg:golang/std@{version}", text)


@cache
def _bootloader() -> Part:
    """PyInstaller's, and its modules that find the program's own."""
    return _distribution("pyinstaller")


@cache
def _system(origin: Path) -> Part | None:
    """A library of the building machine; its version is that of its Debian package."""
    soname = origin.name
    known = _LIBC if soname in LIBC[:-1] or soname.startswith("ld-linux") else None
    for beginning, part in _SYSTEM.items():
        if soname.startswith(beginning):
            known = part
    if known is None:
        return None
    name, licence = known
    resolved = origin.resolve()
    # Where /lib is a link to /usr/lib, packages know their files by either.
    for path in (origin, resolved, Path("/", *resolved.parts[2:]), Path("/usr", *origin.parts[1:])):
        asked = subprocess.run(
            ["dpkg-query", "--search", path], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0:
            package = asked.stdout.partition(": ")[0].split(",")[0]
            version = subprocess.run(
                ["dpkg-query", "--show", "--showformat=${Version}", package],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            file = Path("/usr/share/doc") / package.partition(":")[0] / "copyright"
            text = file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
            purl = f"pkg:deb/debian/{package.partition(':')[0]}@{quote(version, safe='')}"
            return Part(name, version, licence, purl, text)
    raise BuildError(f"{origin} belongs to no Debian package, so its version is not known")
