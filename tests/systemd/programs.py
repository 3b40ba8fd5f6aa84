"""Installations of the programs for the container: an interpreter that every account can run, and
the packages of this checkout. Copies files; calls pip only where the interpreters differ."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DISTS = ("protocol", "agent", "server", "client", "datahub")
SCRIPTS = {
    "remote-agent": "remote_agent.__main__",
    "remote-server": "remote_server.__main__",
    "remotectl": "remote_client.__main__",
}
PYTHON = Path("/usr/bin/python3")
"""Not that of the checkout, which may lie in root's home."""


def install(root: Path, prefix: str, version: str | None = None) -> None:
    """Put the programs into `prefix` of the file system at `root`, as an installation from wheels
    has them. `version`: what the agent says of itself."""
    there = root / prefix.lstrip("/")
    subprocess.run([PYTHON, "-m", "venv", "--without-pip", "--copies", there], check=True)
    (packages,) = there.glob("lib/python3*/site-packages")
    if packages.parent.name == f"python3.{sys.version_info.minor}":
        _copy_packages(packages)
    else:
        pip = [sys.executable, "-m", "pip", "--python", str(there / "bin" / "python3"), "install"]
        subprocess.run([*pip, "-q", "-r", ROOT / "requirements" / "run.txt"], check=True)
    for dist in DISTS:
        name = f"remote_{dist}"
        shutil.copytree(ROOT / dist / name, packages / name)
    shutil.copytree(ROOT / "datahub" / "remote_extensions", packages / "remote_extensions")
    for script, module in SCRIPTS.items():
        file = there / "bin" / script
        file.write_text(
            f"#!{prefix}/bin/python3\nimport sys\nfrom {module} import main\nsys.exit(main())\n"
        )
        file.chmod(0o755)
    if version is not None:
        file = packages / "remote_agent" / "__init__.py"
        file.write_text(
            re.sub(r'__version__ = ".*"', f'__version__ = "{version}"', file.read_text())
        )


def _copy_packages(target: Path) -> None:
    wanted = {
        _spelling(line.split("==")[0])
        for line in (ROOT / "requirements" / "run.txt").read_text().splitlines()
        if "==" in line and not line.startswith(" ")
    }
    for dist in distributions():
        if _spelling(dist.metadata["Name"]) not in wanted:
            continue
        for file in dist.files or ():
            if file.parts[0] == "..":
                continue
            place = target / str(file)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), place)


def _spelling(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
