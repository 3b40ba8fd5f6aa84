"""Sends Ctrl-C to a program, in a console of their own: `ctrl_c FILE MODULE [ARGUMENT …]`.

The module runs as `inside.py` runs it; Ctrl-C is sent when FILE appears. Says its exit code.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
import time
from pathlib import Path

assert sys.platform == "win32"

_MINUTES = 3
_HIDDEN = subprocess.CREATE_NO_WINDOW


def main() -> None:
    """In a hidden console: start, wait, send, wait."""
    root = str(Path(__file__).resolve().parents[2])
    inside = [sys.executable, str(Path(__file__).with_name("inside.py")), root.removeprefix("Z:")]
    file, *words = sys.argv[1:]
    if file != "here":
        hidden = [*inside, "tests.windows.ctrl_c", "here", file, *words]
        # With one stream named the others are handed on: else they would be the console's.
        apart = subprocess.Popen(hidden, creationflags=_HIDDEN, stdin=subprocess.DEVNULL)
        raise SystemExit(apart.wait())
    file, *words = words
    deaf = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(lambda _: 1)
    ctypes.windll.kernel32.SetConsoleCtrlHandler(deaf, 1)
    program = subprocess.Popen([*inside, *words], stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + _MINUTES * 60
    while not Path(file).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    ctypes.windll.kernel32.GenerateConsoleCtrlEvent(0, 0)
    print(f"the agent ended with {program.wait(60)}", flush=True)


if __name__ == "__main__":
    main()
