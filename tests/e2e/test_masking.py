"""What a job names in REMOTE_MASK is in no log, from the agent's disk to the terminal."""

from __future__ import annotations

from remote_protocol.states import EndReason, JobState
from tests.support.stack import Stack


def test_a_secret_of_a_host_is_in_no_form_in_a_log(stack: Stack) -> None:
    # Those of the server come to the shim on the same way.
    config = '[secrets]\nenv_allow = ["E2E_TOKEN"]\n'
    stack.agent("alpha", config=config, E2E_TOKEN="hunter22-hunter33")
    script = (
        'set -x; echo "$E2E_TOKEN"; printf "$E2E_TOKEN" >raw; base64 raw; echo "$URL"; '
        'echo "key=$E2E_TOKEN" > "$REMOTE_OUTPUTS"'
    )
    env = {"URL": "https://me:${E2E_TOKEN}@example.com"}
    job = stack.run(script, secrets=["E2E_TOKEN"], env=env)
    assert job.state is JobState.SUCCEEDED and job.outputs == {"key": "***"}
    # Stream by stream: a shell writes the parts of a traced line one by one, and a line of the
    # other stream may come between two of them.
    stdout, stderr = (stack.client.log(job.id, stream=name) for name in ("stdout", "stderr"))
    # A variable with a secret in it is one itself.
    assert stdout.splitlines() == [b"***", b"***=", b"***"]
    assert stderr.splitlines() == [
        b"+ echo ***",
        b"+ printf ***",
        b"+ base64 raw",
        b"+ echo ***",
        b"+ echo key=***",
    ]


def test_a_value_named_at_run_time_is_nowhere(shared: Stack) -> None:
    script = (
        'TOKEN=$(printf "%s-%s" made here); echo "$TOKEN" >> "$REMOTE_MASK"; echo "it is $TOKEN"; '
        'echo "again: $TOKEN" >&2; printf "$TOKEN" | base64; echo plain'
    )
    done = shared.ctl("run", "--mask", "--shell", "sh", "--", script)
    assert (done.returncode, done.stderr) == (0, b"again: ***\n")
    assert done.stdout == b"it is ***\n***\nplain\n"
    job = shared.client.job(shared.client.jobs(limit=1).items[0].id)
    assert job.attempts[-1].log_complete and b"made-here" not in shared.client.log(job.id)
    for path in shared.root.rglob("*"):
        if path.is_file():
            assert b"made-here" not in path.read_bytes(), path


def test_a_job_that_masks_too_much_fails_and_says_why(shared: Stack) -> None:
    job = shared.run('head -c 300000 /dev/zero >> "$REMOTE_MASK"; echo "out"; sleep 60', mask=True)
    assert (job.state, job.end_reason, job.exit_code) == (JobState.FAILED, EndReason.SIGNAL, 137)
    assert (job.end_detail or "").startswith("the job gave REMOTE_MASK more than 256 KiB;")
    assert shared.client.log(job.id) == b""


def test_other_jobs_have_no_mask_file(shared: Stack) -> None:
    job = shared.run('echo "${REMOTE_MASK-none}"')
    assert shared.client.log(job.id) == b"none\n"


def test_masking_goes_on_when_the_agent_is_killed(stack: Stack) -> None:
    config = '[secrets]\nenv_allow = ["E2E_TOKEN"]\n'
    agent = stack.agent("alpha", config=config, E2E_TOKEN="hunter22-hunter33")
    go = stack.root / "go"
    script = (
        'printf "one %.8s" "$E2E_TOKEN"; echo ready >&2; '
        'while [ ! -e "$GO" ]; do sleep 0.02; done; '
        'echo "${E2E_TOKEN#????????}"; V=late-value; echo "$V" >> "$REMOTE_MASK"; echo "two $V"'
    )
    job = stack.submit(script, secrets=["E2E_TOKEN"], env={"GO": str(go)})
    stack.prints(job.id, b"ready")
    agent.kill()
    go.touch()
    agent.start()
    ended = stack.client.wait(job.id, 60)
    assert ended.state is JobState.SUCCEEDED and ended.attempts[-1].log_complete
    assert stack.client.log(job.id, stream="stdout") == b"one ***\ntwo ***\n"
