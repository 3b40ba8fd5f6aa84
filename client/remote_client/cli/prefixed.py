"""Output of many jobs at the same time: whole lines, each behind the name of its agent.

Several threads write; a line is never mixed with another one. Touches stdout and stderr as bytes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final

from remote_client.cli.output import colours, stderr, stdout
from remote_client.cli.watch import write_all
from remote_protocol import cri

_LONGEST: Final = 1024 * 1024
"""Bytes of a line without an end that are held back; then it is shown in parts."""
_COLOURS: Final = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
_WIDEST: Final = 32
"""Characters of an agent's name to which shorter ones are aligned."""


class PrefixedOutput:
    """Where the jobs of a group write. `aside`: all of it goes to stderr."""

    def __init__(self, agents: Iterable[str], aside: bool = False) -> None:
        names = list(agents)
        width = max((min(len(name), _WIDEST) for name in names), default=0)
        self._plain = {name: f"{name:<{width}} | ".encode() for name in names}
        self._coloured = {
            name: f"\x1b[{_COLOURS[place % len(_COLOURS)]}m{name:<{width}} |\x1b[0m ".encode()
            for place, name in enumerate(names)
        }
        self._aside = aside
        self._lock = threading.Lock()

    def write(self, agent: str, stream: str, lines: bytes) -> None:
        """Whole lines of one agent's job."""
        prefixes = self._coloured if colours() else self._plain
        prefix = prefixes.get(agent) or f"{agent} | ".encode()
        data = prefix + lines.removesuffix(b"\n").replace(b"\n", b"\n" + prefix) + b"\n"
        target = stderr() if self._aside or stream == "stderr" else stdout()
        with self._lock:
            if target is not None:
                write_all(target, data)


class MemberOutput:
    """The output of one job: takes pieces of its log, gives whole lines on."""

    def __init__(self, output: PrefixedOutput, agent: str) -> None:
        self._output = output
        self._agent = agent
        self._open: dict[str, bytearray] = {}

    def feed(self, piece: bytes) -> None:
        """Whole CRI records, in order."""
        ready: dict[str, bytearray] = {}
        for record in cri.records(piece):
            text = self._open.setdefault(record.stream, bytearray())
            text += record.data
            end = text.rfind(b"\n") + 1
            if not end and len(text) > _LONGEST:
                end = len(text)
            if end:
                # What one stream wrote goes out before the other's next line, as it came.
                for other in [name for name in ready if name != record.stream]:
                    self._show(other, ready.pop(other))
                ready.setdefault(record.stream, bytearray()).extend(text[:end])
                del text[:end]
        for stream, lines in ready.items():
            self._show(stream, lines)

    def end(self) -> None:
        """The log is over: show the lines that have no newline."""
        for stream, text in self._open.items():
            if text:
                self._show(stream, text)
        self._open.clear()

    def _show(self, stream: str, lines: bytearray) -> None:
        self._output.write(self._agent, stream, bytes(lines))
