"""Inputs that are given with the submission of jobs, with real processes: read once, and found
nowhere."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from secrets import token_hex

import httpx

from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState
from tests.support.databases import KIND
from tests.support.searched import content_of, files_below
from tests.support.stack import BIN, Stack, until

CANARY = f"canary-{token_hex(16)}"
SUM = "sha256sum | cut -c1-64"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def nowhere(*roots: Path) -> None:
    found = [path for path in files_below(*roots) if CANARY.encode() in content_of(path)]
    assert found == []


def waiting_job(stack: Stack, go: Path, **fields: object) -> JobSpec:
    script = f'until [ -e "{go}" ]; do sleep 0.05; done; {SUM}'
    body = {"shell": "sh", "script": script, "private_input": CANARY, **fields}
    return JobSpec.model_validate(body)


def assert_kept(stack: Stack, count: int) -> None:
    """So many are in the database, where that is a file to look into."""
    if KIND != "sqlite":
        return
    # Closed at once: `nowhere` opens the same files, and so takes its locks from it.
    with closing(sqlite3.connect(f"file:{stack.data_dir}/server.db?mode=ro", uri=True)) as database:
        found = database.execute(
            "select jobs.id, state, attempt, policy, "
            "(select group_concat(what) from timeline where timeline.job = jobs.id) "
            "from private_inputs join jobs on jobs.id = private_inputs.job"
        ).fetchall()
    assert len(found) == count, found


def test_it_is_read_once_and_found_nowhere(stack: Stack, tmp_path: Path) -> None:
    go = tmp_path / "go"
    agent = stack.agent("alpha")
    job = stack.client.submit(waiting_job(stack, go))
    assert job.private_input is True and CANARY not in str(job)
    until(lambda: stack.client.job(job.id).state is JobState.RUNNING, "it runs")
    assert_kept(stack, 1)
    nowhere(stack.root)
    # The agent dies, and the server: the job has its input all the same.
    agent.kill()
    stack.server.kill()
    stack.start_server()
    agent.start()
    go.touch()
    done = stack.client.wait(job.id, 60)
    assert done.state is JobState.SUCCEEDED
    log = httpx.get(f"{stack.url}/api/v1/jobs/{job.id}/log", headers=bearer(stack)).text
    assert log.strip() == digest(CANARY)
    assert_kept(stack, 0)
    told = [*stack.client.audit(limit=500), *stack.client.jobs().items, stack.client.job(job.id)]
    assert CANARY not in str(told)
    if KIND == "sqlite":
        # Else backups are the database's business.
        backup = str(tmp_path / "backup.tar")
        words = [str(BIN / "remote-server"), "backup", backup, "--data-dir", str(stack.data_dir)]
        subprocess.run(words, env=stack.server.env, check=True, capture_output=True, timeout=60)
    nowhere(stack.root, tmp_path)
    refused = stack.ctl("job", "retry", job.id)
    assert refused.returncode and b"had an input, which is kept no longer" in refused.stderr


def bearer(stack: Stack) -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.admin_token}"}


def test_remotectl_gives_it_from_a_file_and_shows_it_nowhere(stack: Stack, tmp_path: Path) -> None:
    stack.agent("alpha")
    file = tmp_path / "token"
    file.write_text(CANARY)
    # Of nothing that runs meanwhile it is an argument; the shell looks for it by itself.
    script = (
        "read -r token; for each in /proc/[0-9]*/cmdline; do "
        "case $(tr '\\0' ' ' 2>/dev/null < $each) in *$token*) echo seen;; esac; done; "
        f"printf %s $token | {SUM}"
    )
    done = stack.ctl("run", "--private-input", str(file), "--shell", "sh", "--", script)
    assert (done.returncode, done.stdout.decode().split()) == (0, [digest(CANARY)]), done.stderr
    file.unlink()
    shown = stack.ctl("job", "show", "@last", "--output", "json")
    assert json.loads(shown.stdout)["private_input"] is True
    assert CANARY.encode() not in done.stdout + done.stderr + shown.stdout
    nowhere(stack.root, tmp_path)


def test_repeats_and_what_is_refused(stack: Stack) -> None:
    base = f"{stack.url}/api/v1"
    body = {"command": ["cat"], "private_input": "one", "idempotency_key": "k"}
    with httpx.Client(headers=bearer(stack)) as http:
        first = http.post(f"{base}/jobs", json=body)
        again = http.post(f"{base}/jobs", json={**body, "private_input": "two"})
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json()["id"] == again.json()["id"]
        batch = http.post(f"{base}/jobs/batch", json={"jobs": [{**body, "private_input": "three"}]})
        assert batch.json()["ids"] == [first.json()["id"]]
        for fields, words in (
            ({"private_input": True}, "true stands for it in answers only"),
            ({"private_input": "ü" * 33_000}, "is longer than 64 KiB"),
            ({"private_input": "x", "stdin": True}, "a job has one input"),
            ({"private_input": 7}, "is no text"),
        ):
            refused = http.post(f"{base}/jobs", json={"command": ["cat"], **fields})
            assert refused.status_code == 422 and words in refused.json()["detail"]
            assert "ü" not in refused.text
        asked = {"command": ["cat"], "private_input": CANARY}
        explained = http.post(f"{base}/jobs/explain", json=asked)
        assert explained.status_code == 200 and CANARY not in explained.text
        group = {"spec": {"command": ["cat"], "private_input": CANARY}}
        refused = http.post(f"{base}/groups", json=group)
        assert refused.status_code == 422 and "a group has no input" in refused.json()["detail"]
        assert CANARY not in refused.text
        shown = http.get(f"{base}/jobs/{first.json()['id']}").json()
        assert shown["private_input"] is True and "two" not in json.dumps(shown)
    page = httpx.get(f"{stack.url}/jobs/{shown['id']}", headers=bearer(stack))
    assert page.status_code in (200, 303)


def test_without_its_key_the_job_says_so(stack: Stack, tmp_path: Path) -> None:
    job = stack.client.submit(waiting_job(stack, tmp_path))
    (stack.data_dir / "secrets.key").rename(tmp_path / "elsewhere")
    stack.agent("alpha")
    done = stack.client.wait(job.id, 60)
    assert done.end_reason == "secret_missing"
    assert "cannot give the private input of this job any more" in (done.end_detail or "")
    assert "the key of secrets is missing" in stack.server.words()
