"""Asks a server for its health over and over, in a process of its own. Standard library only.

Usage: probe_health.py HOST PORT PID. A line `ready` after the first answer, and a line of JSON for
each: when it was asked for, by the monotonic clock, seconds until it came, and how many of them the
server's main thread (PID) and this process waited for a processor, which on a busy machine is
nobody's fault. Ends with its stdin.
"""

import json
import os
import select
import socket
import sys
import time
from pathlib import Path

PAUSE = 0.05
TIMEOUT = 30.0


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
    ready = False
    while not select.select([0], [], [], PAUSE)[0]:
        theirs, mine, begun = waited(pid), waited(own), time.monotonic()
        wrong = ask(address)
        seconds = time.monotonic() - begun
        idle = waited(pid) - theirs + waited(own) - mine
        said = {"asked": begun, "seconds": seconds, "idle": idle, "wrong": wrong}
        print(json.dumps(said), flush=True)
        if not ready and not wrong:
            ready = True
            print("ready", flush=True)


if __name__ == "__main__":
    main()
