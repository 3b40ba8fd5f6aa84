"""A collector that is away is named once."""

from __future__ import annotations

from structlog.testing import capture_logs

from remote_agent.export.said import Said


def test_a_failure_is_said_once_and_its_end_too() -> None:
    said = Said("statsd a:1")
    with capture_logs() as logs:
        said.sent()
        for _ in range(3):
            said.failed("it is away")
        assert said.failures == 3
        said.sent()
        said.sent()
        said.failed("again")
    assert [entry["event"] for entry in logs] == [
        "metrics cannot be sent; trying again",
        "metrics are sent again",
        "metrics cannot be sent; trying again",
    ]
    assert logs[0]["to"] == "statsd a:1" and logs[0]["reason"] == "it is away"
