"""The shim: the small process that runs one attempt and keeps its output. No network.

Standard library only. `docs/attempt-directory.md` is its contract with every agent version.
"""

from __future__ import annotations


def enter(arguments: list[str]) -> int:
    """Be a shim process; for frozen binaries, which start their shims through themselves."""
    from remote_agent.shim.__main__ import main

    return main(arguments)
