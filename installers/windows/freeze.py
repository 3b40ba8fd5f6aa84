"""Lay `remote-agent` out as a folder for Windows: `python installers/windows/freeze.py FOLDER`.

Runs in a Windows Python (on Windows, or in Wine) that has requirements/windows.txt. The folder is
what the MSI installs: nothing unpacks itself at the start, and each version has its own, so that
running jobs keep theirs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from installers.binary.freeze import EXCLUDED, READ_AS_TEXT, modules, modules_of_extensions  # noqa: E402

NAME: Final = "remote-agent"
_PARTS: Final = {"agent": "remote_agent", "protocol": "remote_protocol"}
_PATHS: Final = tuple(ROOT / dist for dist in (*_PARTS, "datahub"))


def freeze(output: Path, epoch: int) -> Path:
    """The folder `remote-agent` below `output`, with `remote-agent.exe` in it."""
    work = output / "work"
    shutil.rmtree(output, ignore_errors=True)
    work.mkdir(parents=True)
    names = [name for dist, package in _PARTS.items() for name in modules(ROOT / dist, package)]
    names += modules_of_extensions(_PATHS, "remote_agent")
    command = [
        sys.executable, "-m", "PyInstaller", "--noconfirm", "--clean", "--log-level=ERROR",
        "--onedir", "--noupx", "--console", f"--name={NAME}", f"--distpath={output}",
        f"--workpath={work}", f"--specpath={work}",
        f"--runtime-hook={HERE.parent / 'binary' / 'started.py'}",
        *(f"--paths={path}" for path in _PATHS),
        *(f"--hidden-import={name}" for name in names),
        *(f"--add-data={_file(file)}{os.pathsep}{file.parent}"
          for file in READ_AS_TEXT["remote_agent"]),
        *(f"--exclude-module={name}" for name in EXCLUDED),
        str(HERE.parent / "binary" / f"{NAME}.py"),
    ]  # fmt: skip
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYINSTALLER_CONFIG_DIR": str(work / "pyinstaller"),
    }
    subprocess.run(command, check=True, env=environment, cwd=work)
    shutil.rmtree(work)
    return output / NAME


def _file(name: Path) -> Path:
    """Where a file of a package is in this checkout."""
    return next(path / name for path in _PATHS if (path / name).exists())


if __name__ == "__main__":
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "315532800"))
    print(freeze(Path(sys.argv[1]).resolve(), epoch))
