"""Clocks of the chaos run: a program started by `shifted` sees the jumps, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos import clock as module
from tests.chaos.clock import Clock

SHIFTED = Path(module.__file__).with_name("shifted.py")
PROGRAM = """
import sys, time
for _ in sys.stdin:
    print(time.time(), time.time_ns() / 1e9, time.monotonic(), flush=True)
"""


def test_a_running_program_sees_each_jump_of_its_wall_clock_only(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, "-I", "-S", str(SHIFTED), str(clock.path), "-", str(script)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        for offset in (0.0, 5000.0, -7200.5):
            clock.jump(offset)
            begun, began = time.time(), time.monotonic()
            program.stdin.write("\n")
            program.stdin.flush()
            wall, wall_ns, monotonic = map(float, program.stdout.readline().split())
            # A millisecond for what a float of seconds cannot tell.
            assert begun - 0.001 <= wall - offset <= time.time() + 0.001
            assert begun - 0.001 <= wall_ns - offset <= time.time() + 0.001
            assert began <= monotonic <= time.monotonic()
        program.stdin.close()


def test_what_it_showed_can_be_set_right_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(tmp_path / "clock")
    assert clock.real(950.0) == 950.0
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    clock.jump(500.0)
    assert clock.offset == 500.0
    monkeypatch.setattr(time, "time", lambda: 1100.0)
    clock.jump(-300.0)
    monkeypatch.setattr(time, "time", lambda: 1200.0)
    assert clock.real(1550.0) == 1050.0
    assert clock.real(850.0) == 1150.0
    assert clock.real(700.0) == 700.0
