"""Virtual environments made on the spot, with modules of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

HEAVY = """\
import os, random, sys, tempfile, time
SEEN = dict(os.environ)
tempfile.gettempdir()
COUNT = [0]
with open({imports!r}, "a") as file:
    file.write(f"{{os.getpid()}}\\n")
time.sleep({seconds})
"""


def make_venv(place: Path, **modules: str) -> Path:
    """A virtual environment without pip, with these modules; its folder."""
    subprocess.run(
        [os.path.realpath(sys.executable), "-m", "venv", "--without-pip", str(place)], check=True
    )
    for name, body in modules.items():
        (packages_of(place) / f"{name}.py").write_text(body)
    return place


def packages_of(place: Path) -> Path:
    """The folder of an environment's packages."""
    version = sysconfig.get_python_version()
    return place / "lib" / f"python{version}" / "site-packages"


def heavy_module(imports: Path, seconds: float = 0.0) -> str:
    """A module that takes `seconds` to import, and notes in a file who has imported it."""
    return HEAVY.format(imports=str(imports), seconds=seconds)
