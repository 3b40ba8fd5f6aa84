"""Network namespaces of the chaos run: a cell reaches the server's address by its cable only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import socket, sys, threading
from tests.chaos.network import SERVER_ADDRESS, enter, leave_the_host, make_cell

why = leave_the_host()
if why:
    sys.exit("cannot: " + why)
try:
    cell = make_cell(1)
except OSError as error:
    sys.exit(f"cannot: {error}")
listener = socket.create_server((SERVER_ADDRESS, 0))

def reach(seconds):
    enter(cell.namespace)
    try:
        socket.create_connection(listener.getsockname(), seconds).close()
        print("reached", cell.cable.counts["packets"] > 0)
    except OSError as error:
        print(type(error).__name__, error.errno)

def look(seconds=30):
    thread = threading.Thread(target=reach, args=(seconds,))
    thread.start()
    thread.join()

look()
cell.cable.black_hole(True)
look(1)
cell.cable.heal()
cell.plug(False)
look()
cell.plug(True)
look()
cell.close()
print([name for _, name in socket.if_nameindex()])
"""


def test_a_cell_hangs_on_its_cable() -> None:
    # In a process of its own: it leaves the host's namespaces for good.
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=False
    )
    if done.stderr.startswith("cannot: "):
        pytest.skip(f"no network namespaces here: {done.stderr[8:]}")
    assert done.stdout.splitlines() == [
        "reached True",
        "TimeoutError None",
        "OSError 101",
        "reached True",
        "['lo']",
    ], done.stderr
