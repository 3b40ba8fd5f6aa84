"""Secrets of the server on their way to jobs, with real processes: who gets them, and where nothing
of them is found."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from secrets import token_hex

from remote_protocol.api.queues import QueueCreate
from remote_protocol.api.secrets import SecretPut
from remote_protocol.states import EndReason, JobState
from tests.support.searched import content_of, files_below
from tests.support.stack import BIN, Stack

CANARY = f"canary-{token_hex(16)}"
DIGEST = hashlib.sha256(CANARY.encode()).hexdigest()
SUM = 'printf %s "$DB_PASSWORD" | sha256sum | cut -c1-64'


def set_secret(stack: Stack, value: str, *options: str) -> None:
    """As an admin does it."""
    process = subprocess.run(
        [BIN / "remotectl", "secret", "set", "DB_PASSWORD", *options],
        input=value.encode(),
        env=stack.env(REMOTE_URL=stack.url, REMOTE_TOKEN=stack.admin_token),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert value.encode() not in process.stdout + process.stderr


def ran(stack: Stack, queue: str = "default") -> subprocess.CompletedProcess[bytes]:
    """A job that says which value it has."""
    words = ("--queue", queue, "--secret", "DB_PASSWORD", "--shell", "sh", "--", SUM)
    return stack.ctl("run", *words)


def assert_nowhere(stack: Stack, *more: Path) -> None:
    """The value is in no file of server, agents and programs."""
    files = files_below(stack.root, *more)
    found = [path for path in files if CANARY.encode() in content_of(path)]
    assert found == []


def test_jobs_of_its_queues_get_a_secret_as_it_is_then(stack: Stack) -> None:
    stack.client.create_queue(QueueCreate(name="berlin"))
    stack.agent("alpha", "--queue", "default", "--queue", "berlin", capacity=2)
    set_secret(stack, CANARY, "--queue", "berlin")
    done = ran(stack, "berlin")
    assert (done.returncode, done.stdout.decode().strip()) == (0, DIGEST), done.stderr
    # Another queue's job does not start, and its end says why.
    done = ran(stack)
    assert done.returncode == 125 and b"not given to jobs of the queue 'default'" in done.stderr
    job = stack.client.jobs(limit=1).items[0]
    assert job.end_reason is EndReason.SECRET_MISSING and "berlin" not in (job.end_detail or "")
    # A new value holds from the next attempt on; a deleted secret is given no more.
    set_secret(stack, "new")
    assert ran(stack, "berlin").stdout.decode().strip() == hashlib.sha256(b"new").hexdigest()
    set_secret(stack, CANARY, "--all-queues")
    assert ran(stack).stdout.decode().strip() == DIGEST
    stack.ctl("secret", "delete", "DB_PASSWORD", check=True)
    done = ran(stack)
    assert done.returncode == 125 and b"no secret 'DB_PASSWORD'" in done.stderr
    assert_nowhere(stack)
    told = [*stack.client.audit(limit=500), *stack.client.secrets(), *stack.client.jobs().items]
    assert CANARY not in str(told)


def test_it_is_said_beforehand(stack: Stack) -> None:
    stack.agent("alpha")
    words = ("run", "--explain", "--secret", "DB_PASSWORD", "--", "true")
    said = stack.ctl(*words)
    assert said.returncode == 0
    assert b"Unless its agent's host has it: the server has no secret" in said.stdout
    set_secret(stack, CANARY)
    assert b"secret" not in stack.ctl(*words).stdout


def test_an_agent_without_its_memory_is_given_it_again(stack: Stack) -> None:
    """Killed with the job accepted, and the server, too: nobody had it on a disk in clear."""
    agent = stack.agent("alpha")
    set_secret(stack, CANARY)
    job = stack.submit(SUM, secrets=["DB_PASSWORD"], max_attempts=3)
    agent.kill()
    stack.server.kill()
    stack.start_server()
    agent.start()
    view = stack.client.wait(job.id, timeout=60)
    assert view.state is JobState.SUCCEEDED
    assert stack.client.log(job.id).decode().strip() == DIGEST
    assert_nowhere(stack)


def test_a_new_key_while_a_job_waits(stack: Stack) -> None:
    stack.client.set_secret("DB_PASSWORD", SecretPut(value=CANARY))
    job = stack.submit(SUM, secrets=["DB_PASSWORD"])
    stack.server.stop()
    words = [str(BIN / "remote-server"), "secret", "rotate-key", "--data-dir", str(stack.data_dir)]
    env = stack.server.env  # it names the database
    done = subprocess.run(words, env=env, capture_output=True, timeout=60, check=True)
    assert b"encrypted again: 1" in done.stdout
    stack.start_server()
    stack.agent("alpha")
    assert stack.client.wait(job.id, timeout=60).state is JobState.SUCCEEDED
    assert stack.client.log(job.id).decode().strip() == DIGEST
    # Without its key the server runs, and says so.
    (stack.data_dir / "secrets.key").unlink()
    done = ran(stack)
    assert done.returncode == 125 and b"cannot read its secret" in done.stderr
    assert b"secrets.key" not in done.stderr and "there is no" in stack.server.words()
    assert_nowhere(stack)


def test_a_canary_is_readable_nowhere(stack: Stack) -> None:
    stack.agent("alpha", capacity=2)
    done = stack.ctl("secret", "canary", "--agent", "alpha", "--output", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["channel"]: row["result"] for row in json.loads(done.stdout)["channels"]}
    assert rows["stdout, base64-1"] == rows["artifacts' names"] == "masked"
    assert rows["audit"] == "clean"
    assert json.loads(stack.ctl("secret", "list", "--output", "json").stdout)["items"] == []
