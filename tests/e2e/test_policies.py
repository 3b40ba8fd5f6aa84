"""A job's policies and limits: what is repeated and when, what expires, what a log may hold."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest

from remote_protocol.api.jobs import JobView
from remote_protocol.states import EndReason, JobState
from tests.support.stack import Stack, until

PRINT = """
import sys
for n in range(100_000):
    print(f"{n:09d}", file=(sys.stdout, sys.stderr)[n % 2], flush=False)
"""


def reasons(job: JobView) -> list[EndReason | None]:
    return [attempt.end_reason for attempt in job.attempts]


@pytest.mark.parametrize(
    ("reason", "script", "fields"),
    [
        (EndReason.EXIT, "exit 3", {}),
        (EndReason.SIGNAL, "kill -9 $$", {}),
        (EndReason.TIMEOUT, "exec sleep 60", {"timeout": 1.5}),
        (EndReason.MEMORY_LIMIT, "exec {hog}", {"memory_limit": "64MiB"}),
    ],
)
def test_each_end_reason_is_repeated_where_the_policy_names_it(
    shared: Stack, reason: EndReason, script: str, fields: dict[str, object]
) -> None:
    hog = f"{sys.executable} -c 'hog = bytearray(200_000_000); import time; time.sleep(60)'"
    script = f"[ $REMOTE_ATTEMPT = 3 ] && exit 0; {script.format(hog=hog)}"
    again = shared.submit(
        script, max_attempts=5, retry_on=["lost", reason], retry_backoff=0, **fields
    )
    others = sorted(set(EndReason) - {reason, EndReason.REJECTED, EndReason.EXPIRED})
    once = shared.submit(script, max_attempts=5, retry_on=others, retry_backoff=0, **fields)
    done = shared.client.wait(again.id, 30)
    assert (done.state, done.attempt) == (JobState.SUCCEEDED, 3)
    assert reasons(done) == [reason, reason, EndReason.EXIT]
    failed = shared.client.wait(once.id, 30)
    assert (failed.state, failed.attempt, failed.end_reason) == (JobState.FAILED, 1, reason)


def test_a_program_that_is_not_there_is_repeated_too(shared: Stack) -> None:
    job = shared.run(
        command=["/nowhere/nothing"], max_attempts=2, retry_on=["spawn_error"], retry_backoff=0
    )
    assert reasons(job) == [EndReason.SPAWN_ERROR] * 2
    assert (job.state, job.exit_code) == (JobState.FAILED, 127)


def test_the_backoff_doubles_and_attempts_are_counted(shared: Stack) -> None:
    job = shared.run("exit 1", max_attempts=4, retry_on=["exit"], retry_backoff=0.2)
    assert (job.state, job.attempt, reasons(job)) == (JobState.FAILED, 4, [EndReason.EXIT] * 4)
    waits = [
        (later.offered_at - earlier.ended_at).total_seconds()
        for earlier, later in pairwise(job.attempts)
        if earlier.ended_at is not None
    ]
    # The wait counts from the end as the agent's clock has it: a little less may be seen.
    assert all(wait > least for wait, least in zip(waits, (0.15, 0.35, 0.75), strict=True)), waits
    told = [entry.detail for entry in shared.client.timeline(job.id) if entry.what == "retry"]
    assert [text.split(" ")[:4] for text in told] == [
        ["attempt", str(number), "of", "4"] for number in (2, 3, 4)
    ]


def test_a_waiting_repetition_can_be_cancelled(shared: Stack) -> None:
    job = shared.submit("exit 1", max_attempts=2, retry_on=["exit"], retry_backoff="10m")
    until(lambda: EndReason.EXIT in reasons(shared.client.job(job.id)), "its first attempt ends")
    waiting = shared.client.job(job.id)
    assert waiting.state is JobState.QUEUED
    assert "before the next attempt" in (waiting.pending_reason or "")
    shared.client.cancel(job.id)
    assert shared.client.wait(job.id, 30).state is JobState.CANCELLED


def test_a_job_that_expires_ends_remotectl_with_125(shared: Stack) -> None:
    done = shared.ctl("run", "--expires-in", "300ms", "--label", "no=where", "--", "true")
    assert done.returncode == 125
    assert b"longer than its expires_in allows" in done.stderr, done.stderr


def test_a_job_that_started_in_time_never_expires(shared: Stack) -> None:
    go = shared.root / "go-in-time"
    job = shared.submit(f"while [ ! -e {go} ]; do sleep 0.02; done; echo done", expires_in=4)
    unstarted = shared.submit("true", labels={"no": "where"}, expires_in=4)
    assert shared.client.wait(unstarted.id, 30).end_reason is EndReason.EXPIRED
    assert shared.client.job(job.id).state is JobState.RUNNING
    go.touch()
    assert shared.client.wait(job.id, 30).state is JobState.SUCCEEDED
    assert shared.client.log(job.id) == b"done\n"


def test_head_and_tail_of_a_capped_log_are_kept_and_the_rest_counted(shared: Stack) -> None:
    job = shared.run(command=[sys.executable, "-c", PRINT], max_log=40_000)
    log = shared.client.log(job.id)
    assert job.exit_code == 0 and job.attempts[-1].log_complete
    head, _, rest = log.partition(b"remote-agent: log limit")
    _, _, tail = rest.partition(b"bytes omitted here")
    omitted = int(rest.partition(b" bytes omitted here")[0].split()[-1])
    tail = tail.partition(b"\n")[2]
    # Every byte of the job is there or counted; its head is as it came, its tail is its end.
    assert job.usage is not None
    assert job.usage.stdout_bytes + job.usage.stderr_bytes == 100_000 * 10
    # A head that was cut inside a line gets its end, so that the note has a line of its own.
    assert len(head) in (30_000, 30_001)
    assert (len(tail), omitted) == (10_000, 960_000)
    assert head.startswith((b"000000000\n", b"000000001\n"))
    assert {b"000099998", b"000099999"} & set(tail.split(b"\n"))


def test_a_log_below_its_cap_is_whole(shared: Stack) -> None:
    job = shared.run("printf %0.sx $(seq 1 4096)", max_log=4096)
    assert shared.client.log(job.id) == b"x" * 4096
