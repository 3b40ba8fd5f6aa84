"""A client that is generated from the served document submits, reads, lists and cancels jobs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.contract.conftest import PACKAGES, Site

SCRIPT = """
import sys
from made import AuthenticatedClient
from made.api.agents import list_agents
from made.api.jobs import cancel_job, get_job, get_job_log, list_jobs, submit_job, submit_jobs
from made.api.tokens import get_whoami
from made.models import Cancellation, CommandSpec, JobBatch, Problem

client = AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2])
with client as client:
    assert get_whoami.sync(client=client).role == "operator"
    assert "alpha" in [agent.name for agent in list_agents.sync(client=client).items]

    echo = {"command": ["echo", "made"], "timeout": "5m", "name": "generated"}
    wanted = CommandSpec.from_dict(echo)
    first = submit_job.sync_detailed(client=client, body=wanted, idempotency_key="generated-1")
    again = submit_job.sync_detailed(client=client, body=wanted, idempotency_key="generated-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.parsed.id == again.parsed.id
    assert first.parsed.timeout == 300.0

    waits = CommandSpec.from_dict({"command": ["true"], "queue": "other", "name": "generated"})
    waiting = submit_job.sync(client=client, body=waits)
    shown = get_job.sync(waiting.id, client=client)
    assert (shown.id, shown.state, shown.queue) == (waiting.id, "queued", "other")

    batch = JobBatch(jobs=[CommandSpec.from_dict({"command": ["true"], "name": "generated"})])
    batched = submit_jobs.sync(client=client, body=batch).ids
    ours = {first.parsed.id, waiting.id, *batched}
    seen, cursor = set(), None
    while True:
        more = {} if cursor is None else {"cursor": cursor}
        page = list_jobs.sync(client=client, name="generated", limit=1, **more)
        seen |= {job.id for job in page.items}
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ours, (seen, ours)

    ended = cancel_job.sync(waiting.id, client=client, body=Cancellation(reason="enough"))
    assert (ended.state, ended.end_reason) == ("cancelled", "cancelled")

    nowhere = CommandSpec.from_dict({"command": ["true"], "queue": "no-such"})
    refused = submit_job.sync(client=client, body=nowhere)
    assert isinstance(refused, Problem) and refused.code == "unknown_queue"
print("all of it")
"""


def run(*command: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program with what the stage has installed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PYTHONPATH": f"{PACKAGES}:{folder}", "PATH": path}
    words = [str(word) for word in command]
    return subprocess.run(
        words, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=600
    )


def test_a_generated_client_works(site: Site, tmp_path: Path) -> None:
    made = run(
        *(sys.executable, "-m", "openapi_python_client", "generate", "--url", site.document),
        *("--meta", "none", "--output-path", tmp_path / "made", "--fail-on-warning"),
        folder=tmp_path,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    assert "Warning" not in made.stdout + made.stderr

    script = tmp_path / "use.py"
    script.write_text(SCRIPT)
    done = run(sys.executable, script, site.stack.url, site.tokens["operator"], folder=tmp_path)
    assert done.stdout == "all of it\n", done.stdout + done.stderr
