"""What an agent says and counts besides, under the names that users of DataHub's executor look for.

On with `[agent] compatible_with = "datahub"`; only jobs of the kind `datahub` count.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from remote_agent.session.events import AttemptEnded, AttemptStarted, Event, OfferStored
from remote_datahub.spec import DatahubSpec
from remote_protocol.messages import Ended, Welcome
from remote_protocol.metrics import Family, single
from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason

_NAMES = "datahub_executor_worker"
log = structlog.get_logger("datahub")


class Watch:
    """Counts since the agent's start, and lines of its log."""

    def __init__(self) -> None:
        self._requests = self._errors = self._expired = 0
        self._greeted = False
        log.info("Starting datahub executor worker")

    def online(self, welcome: Welcome) -> None:
        """The server has welcomed the agent: once, what users look for after an installation."""
        if self._greeted:
            return
        self._greeted = True
        for pool in welcome.assignment.queues:
            log.info(f"Executor pool: {pool}")
        log.info("datahub executor worker initialization finished", agent=welcome.agent)

    def seen(self, event: Event, spec: JobSpec | None) -> None:
        """Something has happened."""
        if not isinstance(spec, DatahubSpec):
            return
        if isinstance(event, OfferStored):
            self._requests += 1
            log.info(f"Received task: {spec.task}", attempt=str(event.key))
        elif isinstance(event, AttemptStarted):
            log.info(f"Starting ingestion for source: {spec.name}", attempt=str(event.key))
        elif isinstance(event, AttemptEnded):
            self._ended(str(event.key), event.ended)

    def families(self, running: Sequence[JobSpec]) -> Sequence[Family]:
        """Its metrics, by DataHub's names."""
        active = sum(isinstance(spec, DatahubSpec) for spec in running)
        return [
            single(
                f"{_NAMES}_ingestion_requests_total",
                "counter",
                "Ingestions and tests of connections that were received.",
                self._requests,
            ),
            single(
                f"{_NAMES}_ingestion_errors_total", "counter", "Those that failed.", self._errors
            ),
            single(f"{_NAMES}_active_threads", "gauge", "Those that run now.", active),
            single(
                f"{_NAMES}_ingestion_visibility_timeout_total",
                "counter",
                "Those that expired here. What waits expires on the server: "
                "remote_jobs_ended_total{end_reason='expired'}.",
                self._expired,
            ),
        ]

    def _ended(self, attempt: str, ended: Ended) -> None:
        reason = ended.end_reason
        if reason is EndReason.EXIT and ended.exit_code == 0:
            log.info("Ingestion completed successfully", attempt=attempt)
            return
        if reason is EndReason.EXPIRED:
            self._expired += 1
            log.warning(
                "ExecutionRequest dropped due to exceeded SQS visibility timeout", attempt=attempt
            )
        elif reason is EndReason.CANCELLED:
            log.info("Ingestion cancelled", attempt=attempt)
        else:
            self._errors += 1
            log.warning(
                "Ingestion failed",
                attempt=attempt,
                exit_code=ended.exit_code,
                reason=ended.end_detail or reason.value,
            )
