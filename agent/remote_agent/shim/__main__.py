"""Entry of every shim process: `pool CONTROL SENDER REQUESTS` (inherited descriptors) or
`run DIR`.

`pool` is the launcher with its reused shims. `run` runs one attempt and exits: the same
contract with a process of its own, for systems that lack the launcher's sockets.
"""

from __future__ import annotations

import os.path
import sys


def main(arguments: list[str]) -> int:
    """Run the role that the arguments name; the exit code."""
    match arguments:
        case ["pool", control, sender, requests]:
            from remote_agent.shim import launcher

            launcher.main(int(control), int(sender), int(requests))
            return 0
        case ["run", directory]:
            from remote_agent.shim import worker

            outcome = worker.keep_attempt(directory, worker.become_shim(guarded=False))
            return 0 if outcome is None else int(outcome)
    sys.stderr.write("usage: (pool CONTROL SENDER REQUESTS | run DIRECTORY)\n")
    return 2


if __name__ == "__main__":
    # Started by its path with -I -S: no site-packages, so it says itself where its rooms are.
    given = [argument for argument in sys.argv[1:] if not argument.startswith("--path=")]
    paths = [argument[7:] for argument in sys.argv[1:] if argument.startswith("--path=")]
    rooms = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))
    sys.path[:0] = [rooms, *paths]
    sys.exit(main(given))
