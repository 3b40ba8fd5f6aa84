"""Packages of the binaries for Debian's and Red Hat's families: `.deb` and `.rpm`, by nfpm.

What a package holds is in its YAML file, what it does at its installation and removal in the shell
scripts beside that. A package depends on the commit and on the tools alone. Touches the folders
that it is given.
"""

from __future__ import annotations

import email.utils
import gzip
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
UNITS: Final = HERE.parent / "systemd"
PACKAGES: Final = ("remote-agent", "remotectl")
FORMATS: Final = ("deb", "rpm")
MAINTAINER: Final = "The maintainers of remote-agent <maintainers@remote-agent.invalid>"
ARCHITECTURES: Final = {"x86_64": ("amd64", "x86_64"), "aarch64": ("arm64", "aarch64")}
"""What both families call a machine, by its name in uname(1)."""
_SERVICES: Final = ("remote-agent.service", "remote-agent-jobs.service")
_PROGRAM: Final = "/usr/bin/remote-agent"
_PRE_RELEASE: Final = re.compile(r"[._-]?(a|b|rc|dev)(?=\d)")


def write(
    name: str, version: str, binary: Path, licences: Path, work: Path, output: Path, epoch: int
) -> list[Path]:
    """Make the packages of one binary in `output`, by way of `work`; their paths.

    `version` is one of PEP 440, `epoch` the time of all that is in them, in seconds. OSError,
    CalledProcessError.
    """
    folder = work / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(HERE, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    shutil.copyfile(binary, folder / name)
    shutil.copyfile(licences, folder / "copyright")
    for unit in _SERVICES:
        text = (UNITS / unit).read_text(encoding="utf-8")
        text = text.replace("/usr/local/bin/remote-agent", _PROGRAM)
        (folder / unit).write_text(text, encoding="utf-8")
    (folder / "changelog.Debian.gz").write_bytes(_changelog(name, package_version(version), epoch))
    for path in folder.iterdir():
        os.utime(path, (epoch, epoch))
    variables = {
        "VERSION": package_version(version),
        "ARCH": _architecture()[0],
        "SOURCE_DATE_EPOCH": str(epoch),
    }
    made = []
    for kind in FORMATS:
        target = output / file_name(name, version, kind)
        subprocess.run(
            [Path(sys.executable).with_name("nfpm"), "package", "--config", f"{name}.yaml",
             "--packager", kind, "--target", target],
            cwd=folder, env={**os.environ, **variables, "TZ": "UTC"}, umask=0o022,
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        made.append(target)
    return made


def _changelog(name: str, version: str, epoch: int) -> bytes:
    """The file that Debian's policy asks for (deb-changelog(5)): what changed is in ours."""
    date = email.utils.formatdate(epoch)
    text = (
        f"{name} ({version}-1) unstable; urgency=medium\n\n"
        "  * This version of the project; its CHANGELOG.md says what is new.\n\n"
        f" -- {MAINTAINER}  {date}\n"
    )
    return gzip.compress(text.encode(), 9, mtime=0)


def package_version(version: str) -> str:
    """The same version as package managers order it: what is before a release sorts before it."""
    return _PRE_RELEASE.sub(lambda found: "~~dev" if found[1] == "dev" else f"~{found[1]}", version)


def file_name(name: str, version: str, kind: str) -> str:
    """What a package's file is called: as its family calls it, without its `~`."""
    version = package_version(version).replace("~", "-")
    debian, red_hat = _architecture()
    return f"{name}_{version}_{debian}.deb" if kind == "deb" else f"{name}-{version}.{red_hat}.rpm"


def _architecture() -> tuple[str, str]:
    """Of the machine that builds: the binary is one for it."""
    return ARCHITECTURES[platform.machine()]
