"""There are no services of Windows here, and that is said."""

from __future__ import annotations

import pytest

from remote_agent.processes import posix_service


def test_there_is_no_service_control_manager() -> None:
    assert posix_service.service_control() is None
    with pytest.raises(OSError, match="are Windows'"):
        posix_service.serve("n", lambda: 0)
    with pytest.raises(OSError, match="no event log"):
        posix_service.report("n", "text", error=True)
