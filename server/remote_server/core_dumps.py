"""No core dump of a process that holds secrets. Changes the limit."""

from __future__ import annotations

import contextlib
from typing import Final

_NONE: Final = 1
"""Bytes: less than any dump has. Linux takes exactly this for no dump even where a program gets it
by a pipe (`core_pattern` of core(5)), for which 0 is no limit."""


def forbid_core_dumps() -> None:
    """Have the system write down no memory of this process, and of those that it starts, when they
    crash."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows has no such limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    least = _NONE if most == resource.RLIM_INFINITY else min(_NONE, most)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (least, least))
