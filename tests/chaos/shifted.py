"""Runs a program of the product with a wall clock, and a network, that the chaos run controls.

Usage: shifted.py CLOCK NAMESPACE MODULE|SCRIPT [ARGUMENT]...

CLOCK is a file of eight bytes, the seconds by which the wall clock is off (see `clock`); NAMESPACE
the descriptor of a network namespace to enter, or `-`. A shim is started with `-I -S` by its path,
so this file uses the standard library only. Monotonic clocks stay as they are: no host's jump.
"""

import mmap
import os
import runpy
import signal
import struct
import sys
import time


def shift(clock: str) -> None:
    """Have every wall clock of the `time` module follow the offset in the file."""
    with open(clock, "rb") as file:
        offset = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    real, real_ns, real_gmtime = time.time, time.time_ns, time.gmtime
    packed = struct.Struct("d")

    def shifted() -> float:
        return real() + packed.unpack_from(offset)[0]

    def shifted_ns() -> int:
        return real_ns() + round(packed.unpack_from(offset)[0] * 1e9)

    def gmtime(seconds: float | None = None) -> time.struct_time:
        return real_gmtime(shifted() if seconds is None else seconds)

    time.time, time.time_ns, time.gmtime = shifted, shifted_ns, gmtime  # type: ignore[assignment]


def shift_shims(clock: str) -> None:
    """Have the agent of this process start its shims by this file too, on the same clock."""

    from remote_agent.shim import launcher_client

    plain = launcher_client.shim_command  # type: ignore[attr-defined]

    def command(*arguments: str) -> list[str]:
        python, *options, script, path = plain()
        return [python, *options, __file__, clock, "-", script, path, *arguments]

    launcher_client.shim_command = command  # type: ignore[attr-defined]


def settle(namespace: str) -> None:
    """Enter the namespace, and die with the run that started this."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if namespace != "-":
        if libc.setns(int(namespace), 0x40000000):  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), "setns")
        os.close(int(namespace))


def main() -> None:
    """Become the program."""
    clock, namespace, program = sys.argv[1:4]
    shift(clock)
    del sys.argv[:3]
    if program.endswith(".py"):
        runpy.run_path(program, run_name="__main__")
        return
    settle(namespace)
    if program == "remote_agent":
        shift_shims(clock)
    runpy.run_module(program, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
