"""Only what `[telemetry]` asks for is sent."""

from __future__ import annotations

import asyncio

from remote_agent.export import start_exports
from remote_agent.sections import TelemetryPart
from tests.support.agent_metrics import FAMILIES


async def test_loops_are_those_that_are_wanted() -> None:
    both = TelemetryPart(statsd="127.0.0.1:8125", otlp="http://127.0.0.1:4318", interval=3600)
    for wanted, names in (
        (TelemetryPart(), []),
        (both.model_copy(update={"otlp": None}), ["statsd"]),
        (both, ["statsd", "otlp"]),
    ):
        tasks = start_exports(wanted, "a", None, lambda: FAMILIES)
        assert [task.get_name() for task in tasks] == names
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
