"""The agent's metrics, sent to collectors where `[telemetry]` says so.

One loop for each way out; only what is asked for is imported. No job and no message waits for a
collector.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from remote_agent.sections import TelemetryPart
from remote_protocol.metrics import Family

Read = Callable[[], Sequence[Family]]
"""All metrics as they are now."""


def start_exports(
    wanted: TelemetryPart, agent: str, ca_file: str | None, read: Read
) -> list[asyncio.Task[None]]:
    """The loops that `[telemetry]` asks for; they run until they are cancelled.

    `agent` is the name under which the metrics appear, `ca_file` what is trusted besides the
    system's certificates.
    """
    tasks = []
    if wanted.statsd is not None:
        from remote_agent.export.statsd import StatsdSender

        statsd = StatsdSender(wanted.statsd, agent, read, wanted.interval)
        tasks.append(asyncio.create_task(statsd.run(), name="statsd"))
    if wanted.otlp is not None:
        from remote_agent.export.otlp import OtlpSender

        otlp = OtlpSender(wanted.otlp, ca_file, agent, read, wanted.interval)
        tasks.append(asyncio.create_task(otlp.run(), name="otlp"))
    return tasks
