"""Servers in threads that say nothing of connections which broke."""

from __future__ import annotations

import sys
from socketserver import BaseServer
from typing import Any


class Quiet(BaseServer):
    """Put it before a server's class. Either side may leave at any time, and what is printed about
    that is found in the output of whatever test runs by then."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Tell of other faults only."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)
