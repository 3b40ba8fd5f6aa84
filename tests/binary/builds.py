"""The agent's binary as another version: the same program under another number."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_CODE = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from pathlib import Path\n"
    "from installers.binary.build import rewrap\n"
    "rewrap('remote-agent', sys.argv[4], Path(sys.argv[2]), Path(sys.argv[3]))\n"
)


def rewrapped(folder: Path, version: str = "9.9.9") -> Path:
    """Make it in a folder, from what `make build` has left in `build/binary`."""
    python = ROOT / ".venv-build" / "bin" / "python"
    words = [str(python), "-c", _CODE, *map(str, (ROOT, ROOT / "build" / "binary", folder))]
    subprocess.run([*words, version], check=True, timeout=800)
    return folder / "remote-agent"
