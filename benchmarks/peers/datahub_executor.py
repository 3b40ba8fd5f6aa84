"""acryl-executor as it is, told what to do by lines of JSON, for side-by-side figures.

Runs in an environment that has acryl-executor and acryl-datahub, with its `bin` on PATH; knows
nothing of ours. A line is `{"id", "recipe", "env"}`, or `{"kill"}` with such an id. Answers with a
line when an execution is over; times are Unix seconds.

    PYTHON datahub_executor.py FOLDER
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
from typing import Any

from acryl.executor.execution.default_executor import DefaultExecutor, DefaultExecutorConfig
from acryl.executor.execution.task import TaskConfig
from acryl.executor.request.execution_request import ExecutionRequest
from acryl.executor.request.signal_request import SignalRequest

_TASK = "acryl.executor.execution.sub_process_ingestion_task.SubProcessIngestionTask"
_TICK = re.compile(r"TICK (\d+) (\d+\.\d{6})")
# The executor prints to standard output: answers have a stream of their own.
_ANSWERS = os.fdopen(os.dup(1), "w", buffering=1)
_LOCK = threading.Lock()


def told(**values: Any) -> None:
    """Answer with a line."""
    with _LOCK:
        _ANSWERS.write(json.dumps({"at": time.time(), **values}) + "\n")


class Run:
    """One execution, on a thread of its own as the dispatcher of acryl-executor has it."""

    def __init__(self, executor: DefaultExecutor, folder: str, asked: dict[str, Any]) -> None:
        self.executor, self.folder, self.asked = executor, folder, asked
        self.seen: dict[str, float] = {}
        self.first = 0.0

    def progress(self, text: str) -> None:
        """What the executor would send to DataHub's server."""
        now = time.time()
        if not self.first and "TICK 0" in text:
            self.first = now
        for number, at in _TICK.findall(text):
            self.seen.setdefault(number, now - float(at))

    def run(self) -> None:
        """Execute it, and say what came of it."""
        arguments = {
            "recipe": json.dumps(self.asked["recipe"]),
            "version": "native",
            "extra_env_vars": json.dumps(self.asked.get("env", {})),
        }
        request = ExecutionRequest(
            exec_id=self.asked["id"],
            executor_id="default",
            name="RUN_INGEST",
            args=arguments,
            progress_callback=self.progress,
        )
        begun = time.time()
        result = self.executor.execute(request)
        path = f"{self.folder}/logs/{self.asked['id']}/executor-logs/ingestion-logs.log"
        with open(path, errors="replace") as file:
            log = file.read()
        report = result.context.get_report()
        told(
            id=self.asked["id"],
            event="end",
            begun=begun,
            first_tick=self.first,
            state=result.type.name,
            lags=list(self.seen.values()),
            ticks=len(_TICK.findall(log)),
            after="AFTER" in log,
            structured=len(report.get_structured_report() or ""),
        )


def main() -> None:
    """Execute what comes, until the end of standard input."""
    folder = sys.argv[1]
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    logging.disable(logging.CRITICAL)
    configs = {"tmp_dir": f"{folder}/tmp", "log_dir": f"{folder}/logs"}
    task = TaskConfig(name="RUN_INGEST", type=_TASK, configs=configs)
    config = DefaultExecutorConfig(id="default", task_configs=[task], secret_stores=[])
    executor = DefaultExecutor(config)
    told(event="ready")
    for line in sys.stdin:
        asked = json.loads(line)
        if "kill" in asked:
            signal = SignalRequest(exec_id=asked["kill"], signal="KILL")
            threading.Thread(target=executor.signal, args=(signal,)).start()
        else:
            threading.Thread(target=Run(executor, folder, asked).run, daemon=True).start()


if __name__ == "__main__":
    main()
