"""acryl-executor itself, which executes one request by the task that its configuration names:
`python acryl_program.py REQUEST CONFIGS [WORD]`, both JSON; with WORD it sends KILL when that is in
the progress. Prints what became of it as JSON. Runs in the environment that has acryl-executor.
"""

from __future__ import annotations

import json
import os
import sys
import threading

from acryl.executor.dispatcher.default_dispatcher import DefaultDispatcher
from acryl.executor.execution.default_executor import DefaultExecutor, DefaultExecutorConfig
from acryl.executor.execution.task import TaskConfig
from acryl.executor.request.execution_request import ExecutionRequest
from acryl.executor.request.signal_request import SignalRequest
from acryl.executor.result.execution_result import ExecutionResult


class Kept(DefaultExecutor):
    """Keeps the result, which the dispatcher only prints."""

    result: ExecutionResult | None = None

    def execute(self, request: ExecutionRequest) -> ExecutionResult:
        self.result = super().execute(request)
        return self.result


def main(asked: dict[str, object], configs: dict[str, object], word: str) -> None:
    """Execute it as DataHub's actions do."""
    tasks = [
        TaskConfig(name=name, type="remote_datahub.task.RemoteTask", configs=configs)
        for name in ("RUN_INGEST", "TEST_CONNECTION")
    ]
    executor = Kept(DefaultExecutorConfig(id="default", task_configs=tasks))
    dispatcher = DefaultDispatcher([executor])
    progress: list[str] = []
    killed = threading.Event()

    def callback(text: str) -> None:
        progress.append(text)
        if word and word in text and not killed.is_set():
            killed.set()
            dispatcher.dispatch_signal(SignalRequest(exec_id=asked["exec_id"], signal="KILL"))

    told = os.dup(1)
    os.dup2(2, 1)  # the dispatcher prints a summary
    dispatcher.dispatch(ExecutionRequest(**asked, progress_callback=callback))
    while threads := list(dispatcher.threads.values()):
        threads[0].join()
    assert executor.result is not None
    report = executor.result.context.get_report()
    document = {
        "state": executor.result.type.name,
        "infos": report.infos,
        "errors": report.errors,
        "logs": report.get_logs(),
        "structured": report.get_structured_report(),
        "progress": len(progress),
    }
    os.write(told, json.dumps(document).encode())


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), json.loads(sys.argv[2]), (sys.argv[3:] or [""])[0])
