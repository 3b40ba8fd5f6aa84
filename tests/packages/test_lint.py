"""What the linters of both families say of the packages: nothing but what has a reason beside it
(`installers/packages/*.lintian-overrides`, `rpmlint.toml`)."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from installers.packages.packaging import PACKAGES
from tests.packages.managers import pack

CONFIG = Path(__file__).with_name("rpmlint.toml")


def lintian(*packages: Path) -> str:
    """What lintian says, from hints of the level `info` up; empty for nothing."""
    flags = ("--allow-root", "--display-info", "--tag-display-limit", "0", "--fail-on")
    done = subprocess.run(
        ["lintian", *flags, "error,warning,info", *map(str, packages)],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert (done.returncode == 0) == (done.stdout == ""), (done.stdout, done.stderr)
    return done.stdout


def rpmlint(*packages: Path) -> list[str]:
    """Its lines of errors and warnings."""
    done = subprocess.run(
        ["rpmlint", "--config", str(CONFIG), *map(str, packages)],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert f"{len(packages)} packages and 0 specfiles checked" in done.stdout, done
    return [line for line in done.stdout.splitlines() if re.search(": [EW]: ", line)]


@pytest.mark.parametrize("name", PACKAGES)
def test_lintian_finds_nothing(packages: Path, name: str) -> None:
    assert lintian(packages / f"{name}_0.1.0_amd64.deb") == ""


def test_rpmlint_finds_nothing(packages: Path) -> None:
    assert rpmlint(*(packages / f"{name}-0.1.0.x86_64.rpm" for name in PACKAGES)) == []


def test_the_linters_find_what_is_wrong(tmp_path: Path) -> None:
    odd = tmp_path / "remotectl"
    odd.write_text("echo no first line\n")
    pack("remotectl", "0.1.0", odd, tmp_path)
    found = lintian(tmp_path / "remotectl_0.1.0_amd64.deb")
    assert "unused-override statically-linked-binary" in found, found
    assert any("script-without-shebang" in line for line in rpmlint(*tmp_path.glob("*.rpm")))
