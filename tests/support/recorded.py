"""Shims of older versions, as `tests/recorded` holds them, and an agent that uses one.

    python tests/support/recorded.py SHIM-DIR run --state-dir …

is today's `remote-agent` whose shims are the recorded ones: what an older agent leaves behind.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

RECORDS: Final = sorted((Path(__file__).parents[1] / "recorded").glob("shim-*"))


def recorded_command(record: Path, *arguments: str) -> list[str]:
    """Command line of a shim process of a recorded version."""
    script = record / "remote_agent" / "shim" / "__main__.py"
    # -B: nothing is written into the record.
    return [sys.executable, "-I", "-S", "-B", str(script), *arguments]


def older_agent(record: Path, command: list[str]) -> list[str]:
    """The command line of an agent, turned into that of one with recorded shims."""
    return [sys.executable, str(Path(__file__).resolve()), str(record), *command[1:]]


def main(record: Path, arguments: list[str]) -> int:
    """Be today's agent with recorded shims."""
    from remote_agent import cli
    from remote_agent.shim import launcher_client

    assert "shim_command" in vars(launcher_client), "the launcher's command line has moved"
    vars(launcher_client)["shim_command"] = lambda *role: recorded_command(record, *role)
    return cli.main(arguments)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
