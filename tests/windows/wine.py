"""Command lines of programs in Wine: `python -m tests.windows.wine COMMAND …` runs one, with
`python -m` as COMMAND a module of the checkout.

Wine and its Windows system lie below `build/windows`, as `set_up.sh` made them; `run.sh` has
mounted what they need. The checkout has the same path on both sides, after `Z:` on Windows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build" / "windows"
RUN = FOLDER / "run"
"""Where a run of tests keeps its files: both sides see it. Emptied at the start of the next one."""
PYTHON = FOLDER / "python" / "python.exe"
_LONGEST = 1500.0
"""Seconds after which a command is taken to hang, on a machine that has more to do."""
_LAST = 300.0
"""The same, of what is left when it has ended."""
_INSIDE = Path(__file__).with_name("inside.py")
_PIPED = Path(__file__).with_name("piped.py")
_ENV = {
    "HOME": "/root",
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/wine",
    "PYTHONDONTWRITEBYTECODE": "1",
    "WINEDEBUG": "-all",
    "WINEDLLOVERRIDES": "winedbg.exe=d;mscoree=d;mshtml=d",
    "XDG_RUNTIME_DIR": "/tmp",
}


def system() -> Path:
    """The Windows system of this run: Wine's prefix. AssertionError outside of `run.sh`."""
    place = os.environ.get("REMOTE_WINE_SYSTEM", "")
    assert place, "there is no Wine here: make test-windows"
    return Path(place)


def drive_c(*parts: str) -> Path:
    """A place on the Windows system's disk, as Linux sees it."""
    return system().joinpath("drive_c", *parts)


def unix(*words: object, **env: str) -> list[str]:
    """A program of Linux in Wine's root, with Wine's environment."""
    given = {**_ENV, "WINEPREFIX": str(system()), **env}
    variables = [f"{name}={value}" for name, value in given.items()]
    program = ["env", "-i", f"--chdir={ROOT}", *variables, *map(str, words)]
    return ["chroot", str(FOLDER / "root"), *program]


def wine(*words: object, **env: str) -> list[str]:
    """A program of Windows: its name or path (of either side) and its arguments."""
    return [sys.executable, "-S", str(_PIPED), *unix("wine64", *words, **env)]


def inside(*words: object, **env: str) -> list[str]:
    """A module of the checkout in the Windows Python."""
    return wine(PYTHON, windows(_INSIDE), ROOT, *words, **env)


def windows(path: Path) -> str:
    """A path of Linux as Windows programs there see it."""
    return "Z:" + str(path).replace("/", "\\")


def processes() -> str:
    """All processes of this namespace: pid, parent, state, the kernel's function, command."""
    lines = []
    for entry in sorted(Path("/proc").glob("[0-9]*"), key=lambda entry: int(entry.name)):
        with suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            waits = (entry / "wchan").read_text()
            lines.append(f"{entry.name} {parent} {state} {waits} {words[-200:]}")
    return "\n".join(lines)


def bounded(command: list[str], seconds: float) -> int:
    """Run a command; its exit code, 124 with all processes said when it has not ended by then."""
    program = subprocess.Popen(command)
    try:
        return program.wait(seconds)
    except subprocess.TimeoutExpired:
        said = f"{command} has not ended after {seconds:g} s; these run:\n{processes()}"
        print(said, file=sys.stderr, flush=True)
        return 124
    finally:
        program.kill()
        program.wait()


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[0] == "python.exe":
        words[0] = str(PYTHON)
    command = inside(*words[2:]) if words[:2] == ["python", "-m"] else wine(*words)
    code = bounded(command, _LONGEST)
    # Until its last process has ended, and what it keeps is on the disk. A process that was left
    # over would keep the stage waiting without a word.
    sys.exit(code or bounded(unix("wineserver", "-w"), _LAST))
