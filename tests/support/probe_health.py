"""Asks a server for its health over and over, in a process of its own. Standard library only.

Usage: probe_health.py HOST PORT PID FOLDER. A line `ready` after the first answer, and a line of
JSON for each: when it was asked for, by the monotonic clock, seconds until it came, and how many of
them were nobody's fault: the server's main thread (PID) and this process waited for a processor, or
the disk of FOLDER, which the server's database is on, did not come to the end of a small file's
fsync either. Ends with its stdin.
"""

import json
import os
import select
import socket
import sys
import threading
import time
from pathlib import Path

PAUSE = 0.05
TIMEOUT = 30.0


class Disk:
    """Syncs a small file over and over, and knows how long it waited for that."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / f"probe-{os.getpid()}").open("wb", buffering=0)
        self._lock = threading.Lock()
        self._done = 0.0
        self._since: float | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def waited(self) -> float:
        """Seconds of waiting up to now."""
        with self._lock:
            under_way = 0.0 if self._since is None else time.monotonic() - self._since
            return self._done + under_way

    def _run(self) -> None:
        while True:
            time.sleep(PAUSE / 2)
            with self._lock:
                self._since = time.monotonic()
            self._file.write(b"x")
            os.fsync(self._file.fileno())
            with self._lock:
                self._done += time.monotonic() - (self._since or 0.0)
                self._since = None


def waited(pid: int) -> float:
    """Seconds that a process's main thread was ready to run and had no processor (proc(5))."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


def ask(address: tuple[str, int]) -> str:
    """One request on a fresh connection; empty, or what is wrong with the answer."""
    answer = b""
    try:
        with socket.create_connection(address, TIMEOUT) as link:
            link.sendall(b"GET /healthz HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
            while piece := link.recv(4096):
                answer += piece
    except OSError as error:
        return repr(error)
    return "" if answer.startswith(b"HTTP/1.1 200 ") else repr(answer[:100])


def main() -> None:
    """Ask until stdin ends."""
    address, pid, own = (sys.argv[1], int(sys.argv[2])), int(sys.argv[3]), os.getpid()
    disk = Disk(Path(sys.argv[4]))
    ready = False
    while not select.select([0], [], [], PAUSE)[0]:
        theirs, mine, synced, begun = waited(pid), waited(own), disk.waited(), time.monotonic()
        wrong = ask(address)
        seconds = time.monotonic() - begun
        idle = waited(pid) - theirs + waited(own) - mine + disk.waited() - synced
        said = {"asked": begun, "seconds": seconds, "idle": idle, "wrong": wrong}
        print(json.dumps(said), flush=True)
        if not ready and not wrong:
            ready = True
            print("ready", flush=True)


if __name__ == "__main__":
    main()
