"""Bytes without a name: read once by whoever gets the descriptor, whole, whatever their size; and
large blocks that are used again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from remote_agent.processes import memory


def read_all(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


@pytest.mark.parametrize("system", ["linux", "elsewhere"])
@pytest.mark.parametrize("data", [b"", b"secret", bytes(range(256)) * 4096])
def test_all_bytes_arrive(system: str, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "sys", SimpleNamespace(platform=system))
    assert read_all(memory.memory_file(data)) == data


def test_it_has_no_name_and_is_not_inherited() -> None:
    descriptor = memory.memory_file(b"secret")
    target = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
    assert not os.get_inheritable(descriptor) and not target.exists()
    os.close(descriptor)


def test_a_reader_that_dies_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "sys", SimpleNamespace(platform="elsewhere"))
    os.close(memory.memory_file(bytes(1 << 20)))


def test_large_blocks_that_were_freed_are_used_again() -> None:
    # In a process of its own: what pytest has freed before would count.
    program = (
        "import resource\n"
        "from remote_agent.processes import keep_freed_memory\n"
        "def faults():\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def pass_output():\n"
        "    for _ in range(100):\n"
        "        read = b'x' * (96 << 10)\n"
        "        records = read + read\n"
        "keep_freed_memory()\n"
        "pass_output()\n"
        "before = faults()\n"
        "pass_output()\n"
        "print(faults() - before)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    # Empty pages each time would be 72 for each of a hundred rounds.
    assert int(ran.stdout) < 100


def test_a_block_that_a_socket_was_read_into_is_used_again() -> None:
    program = (
        "import resource, socket\n"
        "from remote_agent.execution.storing import _READ_AT_ONCE\n"
        "from remote_agent.processes import keep_freed_memory\n"
        "ours, theirs = socket.socketpair()\n"
        "def hear():\n"
        "    for _ in range(200):\n"
        "        theirs.send(b'{}')\n"
        "        ours.recv(256 << 10)\n"  # as much as asyncio
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    hear()\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "keep_freed_memory(_READ_AT_ONCE)\n"
        "hear()\n"
        "print(faults())\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    # It would be one or two for each.
    assert int(ran.stdout) < 100
