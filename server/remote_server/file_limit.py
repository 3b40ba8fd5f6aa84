"""How many files the process may have open: each connection is one. Changes the limit."""

from __future__ import annotations

import contextlib
from typing import Final

MOST: Final = 1 << 20
"""What counts when the system sets no limit."""
_WITHOUT_LIMIT: Final = 4096


def raise_file_limit() -> int:
    """Allow as many open files as the system lets us; how many that is."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows has no such limit
        return _WITHOUT_LIMIT
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            soft = most
    return MOST if soft == resource.RLIM_INFINITY else min(soft, MOST)
