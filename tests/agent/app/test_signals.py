"""Signals, and the end of stdin, in a process of its own: handlers belong to a whole process."""

from __future__ import annotations

import asyncio
import signal
import sys

import pytest

PROGRAM = """
import asyncio, sys
from remote_agent.app.signals import Signals
async def main():
    said = lambda *words: print(*words, flush=True)
    Signals(lambda orphaned: said("stop", orphaned), lambda: said("reload"), PARENT).listen()
    said("ready")
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def listening(with_parent: bool, before: str = "") -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        before + PROGRAM.replace("PARENT", str(with_parent)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert await line(process) == "ready"
    return process


async def line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 20)).decode().strip()


async def test_each_signal_has_its_meaning() -> None:
    process = await listening(with_parent=False)
    try:
        assert process.stdin is not None
        process.stdin.close()  # nobody watches it
        for number, meaning in (
            (signal.SIGTERM, "stop False"),
            (signal.SIGINT, "stop False"),
            (signal.SIGHUP, "reload"),
        ):
            process.send_signal(number)
            assert await line(process) == meaning
        process.send_signal(signal.SIGUSR1)
        assert "ignored" in await line(process)
    finally:
        process.kill()
        await process.wait()


async def test_the_end_of_stdin_means_that_the_parent_is_gone() -> None:
    process = await listening(with_parent=True)
    try:
        assert process.stdin is not None
        process.stdin.write(b"noise")
        await process.stdin.drain()
        process.stdin.close()
        assert await line(process) == "stop True"
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("content", ["", "x"])
async def test_stdin_that_is_a_file_cannot_be_watched(tmp_path, content) -> None:
    (tmp_path / "stdin").write_text(content)
    with open(tmp_path / "stdin", "rb") as stdin:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM.replace("PARENT", "True"),
            stdin=stdin,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    assert b"needs a pipe at stdin" in errors


async def test_a_signal_that_came_while_it_was_blocked_is_obeyed() -> None:
    block = (
        "import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    process = await listening(with_parent=False, before=block)
    try:
        assert await line(process) == "stop False"
    finally:
        process.kill()
        await process.wait()
