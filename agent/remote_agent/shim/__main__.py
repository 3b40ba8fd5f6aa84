"""Entry of every shim process: `launcher CONTROL SENDER REQUESTS` (inherited descriptors), or
`run DIRECTORY [secrets]`.

`launcher` is the launcher with its reused shims. `run` runs one attempt and exits: the same
contract with a process of its own, for systems that lack the launcher's sockets; with `secrets`
those of the attempt come on its standard input.
"""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> int:
    """Run the role that the arguments name; the exit code."""
    match arguments:
        case ["launcher", control, sender, requests]:
            from remote_agent.shim import launcher

            launcher.main(int(control), int(sender), int(requests))
            return 0
        case ["run", directory] | ["run", directory, "secrets"]:
            from remote_agent.processes import boot_id, reset_signals
            from remote_agent.shim import worker

            reset_signals()
            descriptor = _take_stdin() if arguments[2:] else None
            directory = os.path.abspath(directory)
            shim = worker.become_shim(None, boot_id())
            worker.serve_request(directory, shim, descriptor)
            return 0
    sys.stderr.write("usage: (launcher CONTROL SENDER REQUESTS | run DIRECTORY [secrets])\n")
    return 2


def _take_stdin() -> int:
    """What comes on standard input, which is empty from now on."""
    given, empty = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return given


if __name__ == "__main__":
    # Started by its path with -I -S: no site-packages, so it says itself where its packages are.
    given = [argument for argument in sys.argv[1:] if not argument.startswith("--path=")]
    paths = [argument[7:] for argument in sys.argv[1:] if argument.startswith("--path=")]
    packages = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    sys.path[:0] = [packages, *paths]
    sys.exit(main(given))
