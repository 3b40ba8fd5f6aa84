"""Runs a program of Windows in Wine, with its output in pipes: `piped.py COMMAND …`.

Python in Wine dies when its output is a file. Who waits for the end of the output, as `| cat` does,
may wait for as long as Wine runs: its own services and its desktop (services.exe, explorer.exe)
inherit the standard error of the program that needs them first, and shims, too, outlive who
starts them. Therefore the end of the program counts.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys

_SIZE = 1 << 16


def main() -> int:
    """Run it, hand on what it prints until it has ended; its exit code."""
    program = subprocess.Popen(
        sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert program.stdin and program.stdout and program.stderr
    program.stdin.close()
    with selectors.DefaultSelector() as selector:
        for pipe, to in ((program.stdout, 1), (program.stderr, 2)):
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe.fileno(), selectors.EVENT_READ, to)
        end = os.pidfd_open(program.pid)
        selector.register(end, selectors.EVENT_READ, None)
        while True:
            ready = {key.fd: key.data for key, _ in selector.select()}
            for descriptor, to in ready.items():
                if to is not None and not _copy(descriptor, to):
                    selector.unregister(descriptor)
            if end in ready and len(ready) == 1:
                return program.wait()


def _copy(source: int, to: int) -> bool:
    """Hand on what there is; False at its end."""
    try:
        data = os.read(source, _SIZE)
    except BlockingIOError:
        return True
    left = memoryview(data)
    while left:
        left = left[os.write(to, left) :]
    return bool(data)


if __name__ == "__main__":
    sys.exit(main())
