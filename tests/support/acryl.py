"""What of acryl-executor a task of it needs, in place of the package: its names and its report.

`tests/ingestion/test_task.py` has the real one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest


class Task:
    """Base of tasks."""


class TaskError(Exception):
    """A task failed."""


class Report:
    """What a task says of itself."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.errors: list[str] = []
        self.logs = ""
        self.structured: str | None = None
        self.report_info = self.infos.append
        self.report_error = self.errors.append

    def set_logs(self, logs: str) -> None:
        self.logs = logs

    def set_structured_report(self, content: str) -> None:
        self.structured = content


class ExecutionContext:
    """One execution."""

    def __init__(self, exec_id: str, name: str, progress: Callable[[str], None] | None = None):
        self.exec_id, self.name = exec_id, name
        self.request = SimpleNamespace(progress_callback=progress)
        self.report = Report()

    def get_execution_id(self) -> str:
        return self.exec_id

    def get_task_name(self) -> str:
        return self.name

    def get_report(self) -> Report:
        return self.report


class ExecutorContext(SimpleNamespace):
    """Of which executor a task is."""


def put_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have imports find these."""
    names: dict[str, dict[str, object]] = {
        "acryl": {},
        "acryl.executor": {},
        "acryl.executor.context": {},
        "acryl.executor.context.execution_context": {"ExecutionContext": ExecutionContext},
        "acryl.executor.context.executor_context": {"ExecutorContext": ExecutorContext},
        "acryl.executor.execution": {},
        "acryl.executor.execution.task": {"Task": Task, "TaskError": TaskError},
    }
    for name, content in names.items():
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
