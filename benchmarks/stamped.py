"""Runs a program as it is, and notes when it reads and writes which message about a job.

The stamps are taken around the program's own coders of messages, so that nobody pays for them but
a measurement. They are written at the end, a JSON line each: Unix seconds, `in` or `out`, the type
of the message, the job.

Usage: python -m benchmarks.stamped FILE remote-server|remote-agent ARGUMENT…
"""

from __future__ import annotations

import atexit
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

_CODERS: Final = {
    "remote-server": (
        ("remote_server.hub.link", "decode_from_agent"),
        ("remote_protocol.codec", "encode"),
    ),
    "remote-agent": (
        ("remote_agent.connection.link", "decode_from_server"),
        ("remote_protocol.codec", "encode"),
    ),
}
"""Where each program reads a message, and where it writes one."""


class Stamp(NamedTuple):
    """A message was read (`in`) or is about to be written (`out`)."""

    at: float
    way: str
    type: str
    job: str


def read(file: Path) -> list[Stamp]:
    """What a program has left."""
    return [Stamp(*json.loads(line)) for line in file.read_text().splitlines()]


def main() -> int:
    """Run the program; its exit code."""
    file, program = Path(sys.argv[1]), sys.argv[2]
    stamps: list[Stamp] = []
    entry = import_module(program.replace("-", "_") + ".__main__")
    (reader, decode), (writer, encode) = _CODERS[program]
    watch(import_module(reader), decode, lambda _, message: note(stamps, "in", message))
    watch(import_module(writer), encode, lambda message, _: note(stamps, "out", message))
    atexit.register(lambda: file.write_text("".join(f"{json.dumps(s)}\n" for s in stamps)))
    sys.argv = [program, *sys.argv[3:]]
    code: int = entry.main()
    return code


def watch(module: ModuleType, name: str, note: Callable[[Any, Any], None]) -> None:
    """Have a function of one argument noted, with its argument and its result."""
    coder = getattr(module, name)

    def noted(value: Any) -> Any:
        result = coder(value)
        note(value, result)
        return result

    setattr(module, name, noted)


def note(stamps: list[Stamp], way: str, message: Any) -> None:
    attempt = getattr(message, "attempt", None)
    if attempt is not None:
        stamps.append(Stamp(time.time(), way, message.type, attempt.job))


if __name__ == "__main__":
    sys.exit(main())
