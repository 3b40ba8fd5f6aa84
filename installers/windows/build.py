"""Build what is released for Windows, on Linux, with Wine and wixl: `make build-windows`.

    python installers/windows/build.py --work build/windows/build --output dist

Makes `remote-agent-VERSION-x64.msi`: the program as a folder (freeze.py), each version in a folder
of its own. On Windows itself, freeze.py and any WiX 3 do the same with `--wxs FILE`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.sax.saxutils import quoteattr

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
TEMPLATE: Final = HERE / "remote-agent.wxs"
PROGRAM: Final = "remote-agent.exe"
_FAMILY: Final = uuid.UUID("6f0c7f0e-5a63-4d0e-9a3c-0a2f5c1f7e21")
"""Components get their identifiers from this, the version and their path: the same every time."""


def version() -> str:
    """`__version__` of the agent, read off its source."""
    source = (ROOT / "agent" / "remote_agent" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', source, re.MULTILINE)
    assert found, "remote_agent has no __version__"
    return found[1]


def freeze(work: Path) -> Path:
    """The folder with the program, made by the Windows Python in Wine."""
    command: list[str | Path] = [
        "bash", ROOT / "tests" / "windows" / "run.sh", sys.executable, "-m", "tests.windows.wine",
        "python.exe", HERE / "freeze.py", work,
    ]  # fmt: skip
    subprocess.run(command, check=True, cwd=ROOT)
    return work / "remote-agent"


def description(program: Path, number: str) -> str:
    """The MSI in the language of WiX 3 for this folder."""
    entries = list(_entries(program, program, "INSTALLDIR", number))
    return (
        TEMPLATE.read_text(encoding="utf-8")
        .replace("@VERSION@", number)
        .replace("@FILES@", "\n".join(line for line, _ in entries))
        .replace("@REFERENCES@", "\n".join(line for _, line in entries if line))
    )


def _entries(folder: Path, program: Path, key: str, number: str) -> Iterator[tuple[str, str]]:
    """For each file and folder: its lines, and the reference to its component. Sources are named
    from the program's folder on: wixl knows no other ones."""
    for number_here, path in enumerate(sorted(folder.iterdir())):
        own = f"{key}_{number_here}"
        if path.is_dir():
            yield f"<Directory Id={quoteattr(own)} Name={quoteattr(path.name)}>", ""
            yield from _entries(path, program, own, number)
            yield "</Directory>", ""
            continue
        guid = uuid.uuid5(_FAMILY, f"{number}/{own}/{path.name}")
        file = "program" if path.name == PROGRAM else f"f{own}"
        yield (
            f'<Component Id="c{own}" Guid="{guid}" Win64="yes"><File Id="{file}" '
            f'Source={quoteattr(str(path.relative_to(program)))} KeyPath="yes"/></Component>',
            f'<ComponentRef Id="c{own}"/>',
        )


def pack(program: Path, number: str, work: Path, output: Path) -> Path:
    """The MSI of this folder."""
    source = work / f"remote-agent-{number}.wxs"
    source.write_text(description(program, number), encoding="utf-8")
    made = output / f"remote-agent-{number}-x64.msi"
    made.unlink(missing_ok=True)
    subprocess.run(["wixl", "--arch", "x64", "--output", made, source], check=True, cwd=program)
    return made


def main() -> int:
    """Build it; 0 when done."""
    parser = argparse.ArgumentParser(description="Build the MSI of this commit.")
    parser.add_argument("--work", type=Path, required=True, help="folder for what is in between")
    parser.add_argument("--output", type=Path, required=True, help="folder for the MSI")
    parser.add_argument("--program", type=Path, help="a folder that freeze.py has made")
    parser.add_argument("--wxs", type=Path, help="only write the description for WiX")
    options = parser.parse_args()
    work, output = options.work.resolve(), options.output.resolve()
    for folder in (work, output):
        folder.mkdir(parents=True, exist_ok=True)
    program = options.program.resolve() if options.program else freeze(work / "frozen")
    if options.wxs:
        options.wxs.write_text(description(program, version()), encoding="utf-8")
        return 0
    if not shutil.which("wixl"):
        print("build: wixl missing: apt install wixl", file=sys.stderr)
        return 1
    made = pack(program, version(), work, output)
    print(f"build: {made}: {made.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
