"""Windows has no FIFOs, and says so."""

from __future__ import annotations

import sys

assert sys.platform == "win32"

import pytest

from remote_agent.processes.windows.fifos import HAS_FIFOS, make_fifo, open_fifo


@pytest.mark.parametrize("call", [make_fifo, open_fifo])
def test_there_are_none(call: object) -> None:
    assert callable(call) and not HAS_FIFOS
    with pytest.raises(OSError, match="Windows has no FIFOs"):
        call("C:\\fifo")
