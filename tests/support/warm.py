"""A stack whose agent keeps a warm interpreter, for the e2e tests."""

from __future__ import annotations

import json
from pathlib import Path

from remote_protocol.api.jobs import JobView
from remote_protocol.spec import JobSpec
from tests.support.stack import Agent, Stack
from tests.support.venvs import heavy_module, make_venv


class Warm:
    """An agent with a prepared environment `heavy`, whose module `heavy` notes its imports."""

    def __init__(self, stack: Stack, root: Path, more: str = "", table: str = "") -> None:
        self.stack, self.imports = stack, root / "imports"
        self.venv = make_venv(root / "venv", heavy=heavy_module(self.imports))
        table = table or f'[python]\nenvironments = {{ heavy = "{self.venv}" }}\n{more}'
        self.agent: Agent = stack.agent("alpha", config=table)

    def submit(self, script: str, **fields: object) -> str:
        spec = {
            "kind": "python",
            "script": script,
            "environment": "heavy",
            "preload": ["heavy"],
            **fields,
        }
        return str(self.stack.client.submit(JobSpec.model_validate(spec)).id)

    def ended(self, job: str) -> tuple[JobView, str, str]:
        view = self.stack.client.wait(job, 60)
        out, err = (
            b"".join(r.data for r in self.stack.client.follow_log(job) if r.stream == stream)
            for stream in ("stdout", "stderr")
        )
        return view, out.decode(), err.decode()

    def run(self, script: str, **fields: object) -> tuple[JobView, str, str]:
        """A job's end, and its output."""
        return self.ended(self.submit(script, **fields))

    def told(self, job: str) -> str:
        """What the timeline says of its interpreter."""
        steps = self.stack.client.timeline(job)
        return next((str(s.detail) for s in steps if "interpreter" in str(s.detail)), "")

    def prints(self, job: str) -> list[int]:
        """The process ids on the first line that the job prints."""
        self.stack.prints(job, b"\n")
        return [int(word) for word in self.stack.client.log(job).splitlines()[0].split()]

    def shim(self, job: str) -> int:
        """The process of its shim."""
        file = self.agent.state_dir / "attempts" / f"{job}.1" / "started.json"
        return int(json.loads(file.read_text())["shim_pid"])

    def importers(self) -> list[str]:
        """Processes that have imported the module."""
        return self.imports.read_text().split() if self.imports.exists() else []
