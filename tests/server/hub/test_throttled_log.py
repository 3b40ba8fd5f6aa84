"""Log lines about agents are few, whatever an agent does."""

from __future__ import annotations

import structlog
from structlog.testing import capture_logs

from remote_server.hub.throttled_log import QUIET, ThrottledLog


def test_each_agent_has_a_line_of_each_kind_in_a_while() -> None:
    now = 100.0
    lines = ThrottledLog(lambda: now)
    with capture_logs() as logs:
        log = structlog.get_logger("test")
        for _ in range(50):
            for agent in "ab":
                lines.write(log.info, "agent connected", agent, epoch=1)
                lines.write(log.warning, "nothing was acknowledged", agent)
        assert len(logs) == 4
        now += QUIET
        lines.write(log.info, "agent connected", "a", epoch=51)
    assert logs[0] == {"event": "agent connected", "agent": "a", "epoch": 1, "log_level": "info"}
    assert (logs[-1]["epoch"], logs[-1]["left_out"]) == (51, 49)
