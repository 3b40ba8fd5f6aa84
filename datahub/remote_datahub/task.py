"""A task for acryl-executor that has a remote-server execute what DataHub asks for.

For a DataHub installation that runs acryl-executor as it is: one line of its configuration names
this class as the type of RUN_INGEST and TEST_CONNECTION, and its own executor goes on to
acknowledge, to report progress and to complete. Loaded by acryl-executor only, whose base classes
it has.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from acryl.executor.context.execution_context import ExecutionContext
from acryl.executor.context.executor_context import ExecutorContext
from acryl.executor.execution.task import Task, TaskError
from pydantic import BaseModel, ConfigDict, Field

from remote_client.asyncio_network import AsyncioNetwork
from remote_client.errors import ClientError
from remote_client.paths import segment
from remote_client.transport import Call, Document, Transport

_OVER: Final = frozenset({"SUCCESS", "FAILURE", "CANCELLED", "TIMEOUT"})
_EXECUTIONS: Final = "/datahub/executions"
_LOGS: Final = "~~~~ Ingestion Logs ~~~~\n"


class RemoteTaskConfig(BaseModel):
    """`configs` of the task, as acryl-executor's configuration has them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    """Of the remote-server, without `/api/v1`."""
    token_file: Path
    """A file with an operator's API token; read for each task, so that it can be replaced."""
    ca_file: str | None = None
    """Certificates to trust, where the server has one of your own."""
    pool: str | None = None
    """The queue; default: the executor's id."""
    heartbeat_time_seconds: float = Field(default=2.0, gt=0)
    """Seconds between two reports of progress, as acryl-executor's own tasks have them."""
    poll_seconds: float = Field(default=0.5, gt=0)
    """Seconds between two looks at the state."""
    kill_seconds: float = Field(default=90.0, gt=0)
    """Seconds that a cancelled execution is waited for, so that its last lines are reported."""


class RemoteTask(Task):
    """Executes RUN_INGEST or TEST_CONNECTION on an agent."""

    def __init__(self, config: RemoteTaskConfig, executor: str) -> None:
        self.config = config
        self.pool = config.pool or executor

    @classmethod
    def create(cls, config: dict[str, Any], ctx: ExecutorContext) -> RemoteTask:
        """Made by acryl-executor, once for each kind of task."""
        return cls(RemoteTaskConfig.model_validate(config), ctx.executor_id)

    async def execute(self, args: dict[str, Any], ctx: ExecutionContext) -> None:
        """Submit it, report progress, and wait for its end. TaskError when it fails.

        A task that is cancelled here is killed there; one that somebody else cancels there ends as
        cancelled here.
        """
        execution = _Execution(self.config, ctx)
        try:
            await execution.begin(self.pool, args)
            try:
                found = await execution.wait()
            except asyncio.CancelledError:
                await execution.kill()
                raise
        except ClientError as error:
            ctx.get_report().report_error(str(error))
            raise TaskError(str(error)) from error
        finally:
            execution.close()
        if found["status"] == "CANCELLED":
            raise asyncio.CancelledError
        if found["status"] != "SUCCESS":
            said = [line.partition(" ERROR: ")[2] for line in found["errors"]]
            raise TaskError("; ".join(said) or str(found["status"]))

    def close(self) -> None:
        """Nothing stays open between tasks."""


class _Execution:
    def __init__(self, config: RemoteTaskConfig, ctx: ExecutionContext) -> None:
        self.config = config
        self.ctx = ctx
        token = config.token_file.read_text().strip()
        # Each task has a loop of its own, and so its own connection.
        self.transport = Transport(config.url, token, config.ca_file, network=AsyncioNetwork())

    async def begin(self, pool: str, args: dict[str, Any]) -> None:
        """Submit it; the same id again finds the first one."""
        asked = {
            "executor_id": pool,
            "exec_id": self.ctx.get_execution_id(),
            "name": self.ctx.get_task_name(),
            "args": args,
        }
        found = await self.transport.document(Call("POST", _EXECUTIONS, body=asked))
        self.ctx.get_report().report_info(f"Job {found['job']} of {self.transport.url}")

    async def wait(self) -> Document:
        """Report progress until it is over; what came of it."""
        loop = asyncio.get_running_loop()
        reported = loop.time()
        while True:
            found = await self._look(0)
            if found["status"] in _OVER:
                return await self._finish()
            if loop.time() - reported >= self.config.heartbeat_time_seconds:
                reported = loop.time()
                await self._progress()
            await asyncio.sleep(self.config.poll_seconds)

    async def kill(self) -> None:
        """Have it end, and report what it still has to say. Errors are reported, not raised: the
        task is over in any case."""
        signal = {"exec_id": self.ctx.get_execution_id(), "signal": "KILL"}
        try:
            async with asyncio.timeout(self.config.kill_seconds):
                found = await self.transport.document(Call("POST", "/datahub/signals", body=signal))
                while found["status"] not in _OVER:
                    await asyncio.sleep(self.config.poll_seconds)
                    found = await self._look(0)
                await self._finish()
        except TimeoutError:
            text = f"It has not ended {self.config.kill_seconds:g} s after it was cancelled"
            self.ctx.get_report().report_error(text)
        except ClientError as error:
            self.ctx.get_report().report_error(f"It could not be cancelled: {error}")

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()

    async def _look(self, lines: int) -> Document:
        name = segment(self.ctx.get_execution_id())
        call = Call("GET", f"{_EXECUTIONS}/{name}", {"lines": str(lines)}, persistent=True)
        return await self.transport.document(call)

    async def _progress(self) -> None:
        callback = self.ctx.request.progress_callback
        if callback is not None:
            log = _log_of(await self._look(2_000))
            await asyncio.to_thread(callback, log or "No logs yet")

    async def _finish(self) -> Document:
        """Take over its report."""
        found, report = await self._look(2_000), self.ctx.get_report()
        for line in found["infos"]:
            report.report_info(line.partition(" INFO: ")[2])
        for line in found["errors"]:
            report.report_error(line.partition(" ERROR: ")[2])
        report.set_logs(_log_of(found))
        if structured := found["result"]["structuredReport"]:
            report.set_structured_report(structured["serializedValue"])
        return found


def _log_of(found: Document) -> str:
    """The log in a report."""
    return str(found["result"]["report"]).partition(_LOGS)[2]
