"""Shims with what the product does not have yet: a filter.

    python -I -S tests/support/shim_seams.py ROLE …

is a shim process as `remote_agent.shim` starts it, with the filter `redact`, of which the shim's
own modules know nothing. Standard library only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class Redact:
    """Puts stars in place of the values of secrets, wherever the reads cut them."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._values = [value.encode() for value in secrets.values()]
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """All but what may be the beginning of a secret."""
        data = self._held + data
        for value in self._values:
            data = data.replace(value, b"***")
        keep = max((self._begun(data, value) for value in self._values), default=0)
        data, self._held = data[: len(data) - keep], data[len(data) - keep :]
        return data

    @staticmethod
    def _begun(data: bytes, value: bytes) -> int:
        sizes = range(min(len(data), len(value) - 1), 0, -1)
        return next((size for size in sizes if data.endswith(value[:size])), 0)

    def flush(self) -> bytes:
        """What was no secret after all."""
        held, self._held = self._held, b""
        return held


@contextmanager
def extended_client() -> Iterator[None]:
    """Whatever is started meanwhile has these shims."""
    from remote_agent.shim import launcher_client

    plain = launcher_client.shim_command  # type: ignore[attr-defined]

    def command(*arguments: str) -> list[str]:
        python, *options, script, path = plain()
        return [python, *options, __file__, script, path.removeprefix("--path="), *arguments]

    launcher_client.shim_command = command  # type: ignore[attr-defined]
    try:
        yield
    finally:
        launcher_client.shim_command = plain  # type: ignore[attr-defined]


def main(script: Path, shared: str, arguments: list[str]) -> int:
    """Be a shim process."""
    sys.path[:0] = [str(script.parents[2]), shared]
    from remote_agent.shim.__main__ import main as shim
    from remote_agent.shim.filters import FILTERS, Filters

    FILTERS["redact"] = lambda order, secrets: Filters(lambda: Redact(secrets))
    return shim(arguments)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
