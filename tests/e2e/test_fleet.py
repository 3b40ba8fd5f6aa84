"""Several agents and queues: who gets which job, why jobs wait, pause, drain, weights."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from pathlib import Path

from remote_protocol.api.agents import AgentChange
from remote_protocol.api.jobs import JobView
from remote_protocol.api.queues import QueueChange, QueueCreate
from remote_protocol.states import EndReason, JobState
from tests.support.stack import Stack, until


def reason(stack: Stack, job: JobView) -> str:
    """Why a job waits; the job must be queued."""
    view = stack.client.job(job.id)
    assert view.state is JobState.QUEUED
    return view.pending_reason or ""


def begun(job: JobView) -> datetime:
    assert job.started_at is not None
    return job.started_at


def ended(job: JobView) -> datetime:
    assert job.ended_at is not None
    return job.ended_at


def test_two_agents_share_a_queue(stack: Stack) -> None:
    stack.agent("a", capacity=2)
    stack.agent("b", capacity=2)
    go = f"{stack.root}/go."
    wait = f"while [ ! -e {go}$REMOTE_JOB_ID ]; do sleep 0.02; done"
    jobs = [stack.submit(wait).id for _ in range(12)]
    left = list(jobs)
    while left:
        # As long as none ends, both are full.
        held = [stack.reaches(job, JobState.RUNNING) for job in left[:4]]
        assert Counter(job.agent for job in held) == {"a": 2, "b": 2}
        for job in held:
            Path(f"{go}{job.id}").touch()
        done = [stack.client.wait(job, 30) for job in left[:4]]
        assert all(job.state is JobState.SUCCEEDED for job in done)
        left = left[4:]


def test_queues_and_labels_choose_the_agent(stack: Stack) -> None:
    stack.ctl("queue", "create", "berlin", "--description", "hosts in Berlin", check=True)
    stack.agent("plain")
    stack.agent("fast", "--queue", "default", "--queue", "berlin", "--label", "gpu=true")
    assert stack.run("true", labels={"gpu": "true"}).agent == "fast"
    assert stack.run("true", queue="berlin").agent == "fast"
    views = {item["name"]: item for item in stack.ctl_json("queue", "list")["items"]}
    assert views["berlin"]["agents"] == ["fast"] and views["berlin"]["healthy"]
    assert sorted(views["default"]["agents"]) == ["fast", "plain"]


def test_a_waiting_job_says_why(stack: Stack) -> None:
    stack.client.create_queue(QueueCreate(name="empty"))
    nobody = stack.submit("true", queue="empty")
    assert "no agent serves queue 'empty'" in reason(stack, nobody)
    agent = stack.agent("a", capacity=1)
    label = stack.submit("true", labels={"gpu": "h100"})
    assert "gpu=h100" in reason(stack, label)
    holder = stack.submit("sleep 60")
    stack.reaches(holder.id, JobState.RUNNING)
    full = stack.submit("true")
    until(lambda: reason(stack, full), "a reason")
    assert "a" in reason(stack, full)
    stack.client.cancel(holder.id)
    assert stack.client.wait(full.id, 30).state is JobState.SUCCEEDED
    stack.client.change_agent("a", AgentChange(labels={"gpu": "h100"}))
    assert stack.client.wait(label.id, 30).state is JobState.SUCCEEDED
    agent.stop()
    offline = stack.submit("true")
    until(lambda: "online" in reason(stack, offline), "said to be offline")
    waiting = stack.ctl_start("run", "--queue", "empty", "--", "true")
    with waiting:
        assert waiting.stderr is not None
        assert b"no agent serves queue 'empty'" in waiting.stderr.readline()
        waiting.terminate()
        assert waiting.wait(30) == 130


def test_pause_and_resume_an_agent(stack: Stack) -> None:
    agent = stack.agent("a")
    stack.ctl("agent", "pause", "a", "--comment", "disk replacement", check=True)
    job = stack.submit("true")
    until(lambda: "disk replacement" in reason(stack, job), "the comment is the reason")
    agent.kill()
    agent.start()
    stack.online("a")
    view = stack.client.agent("a")
    assert view.paused and view.pause_comment == "disk replacement"
    assert stack.client.job(job.id).state is JobState.QUEUED
    stack.ctl("agent", "resume", "a", check=True)
    assert stack.client.wait(job.id, 30).state is JobState.SUCCEEDED


def test_pause_on_the_host(stack: Stack) -> None:
    agent = stack.agent("a")
    agent.cli("pause", "--comment", "backup")
    until(lambda: not stack.client.agent("a").condition.accepting, "the server knows")
    job = stack.submit("true")
    until(lambda: "backup" in reason(stack, job), "the comment is the reason")
    agent.cli("resume")
    assert stack.client.wait(job.id, 30).state is JobState.SUCCEEDED


def test_drain_finishes_jobs_then_ends_the_agent(stack: Stack) -> None:
    agent = stack.agent("a")
    go = stack.root / "go"
    job = stack.submit(f"echo up; while [ ! -e {go} ]; do sleep 0.05; done; echo over")
    stack.prints(job.id, b"up\n")
    stack.ctl("agent", "drain", "a", check=True)
    until(lambda: stack.client.agent("a").draining, "it drains")
    later = stack.submit("true")
    go.touch()
    assert stack.client.wait(job.id, 30).state is JobState.SUCCEEDED
    assert stack.client.log(job.id) == b"up\nover\n"
    assert agent.wait() == 0
    assert stack.client.job(later.id).state is JobState.QUEUED


def test_drain_with_a_deadline_cancels(stack: Stack) -> None:
    agent = stack.agent("a")
    job = stack.submit("echo up; exec sleep 60")
    stack.prints(job.id, b"up\n")
    stack.ctl("agent", "drain", "a", "--deadline", "500ms", check=True)
    assert stack.client.wait(job.id, 30).state is JobState.CANCELLED
    assert agent.wait() == 0


def test_a_heavy_job_runs_alone(stack: Stack) -> None:
    stack.agent("a", capacity=4)
    light = [stack.submit("sleep 0.4") for _ in range(3)]
    heavy = stack.submit("sleep 0.2", weight=1.0)
    more = [stack.submit("sleep 0.1") for _ in range(6)]
    alone = stack.client.wait(heavy.id, 30)
    others = [stack.client.wait(job.id, 30) for job in (*light, *more)]
    for other in others:
        assert ended(other) <= begun(alone) or begun(other) >= ended(alone), other


def test_a_heavy_job_is_not_starved_by_light_ones(stack: Stack) -> None:
    stack.agent("a", capacity=2)
    # Lives of unequal length overlap: at no moment would the agent become idle by itself.
    first = [stack.submit(f"sleep {seconds}") for seconds in (0.2, 0.5)]
    heavy = stack.submit("true", weight=1.0)
    later = [stack.submit(f"sleep {0.1 + n % 3 / 10}") for n in range(8)]
    alone = stack.client.wait(heavy.id, 30)
    assert all(ended(stack.client.wait(job.id, 30)) <= begun(alone) for job in first)
    after = [stack.client.wait(job.id, 30) for job in later]
    assert all(begun(job) >= ended(alone) for job in after), "nobody younger went before it"


def test_weights_add_up_to_one_at_most(stack: Stack) -> None:
    stack.agent("a", capacity=10)
    jobs = [stack.submit("exec sleep 60", weight=weight) for weight in (0.6, 0.3, 0.1, 0.3)]
    until(lambda: stack.client.agent("a").running == 3, "0.6, 0.3 and 0.1 run")
    assert "a" in reason(stack, jobs[3])
    stack.client.cancel(jobs[1].id)
    stack.reaches(jobs[3].id, JobState.RUNNING)
    for job in jobs:
        stack.client.cancel(job.id)
    for job in jobs:
        stack.client.wait(job.id, 30)


def test_capacity_is_kept_by_class(stack: Stack) -> None:
    stack.client.create_queue(QueueCreate(name="monitors"))
    stack.agent("a", "--queue", "default", "--queue", "monitors", capacity="default=1,monitors=3")
    jobs = [stack.submit("exec sleep 60", queue=queue) for queue in ["monitors"] * 5]
    jobs += [stack.submit("exec sleep 60") for _ in range(2)]
    until(lambda: stack.client.agent("a").running == 4, "three monitors and one other run")
    states = Counter((job.queue, job.state) for job in map(stack.client.job, [j.id for j in jobs]))
    assert states["monitors", JobState.RUNNING] + states["monitors", JobState.ASSIGNED] == 3
    assert states["default", JobState.QUEUED] == 1
    for job in jobs:
        stack.client.cancel(job.id)
    for job in jobs:
        stack.client.wait(job.id, 30)


def test_priority_then_age(stack: Stack) -> None:
    stack.client.change_queue("default", QueueChange(paused=True))
    stack.agent("a", capacity=1)
    low = stack.submit("true", priority=-1)
    first, second = stack.submit("true"), stack.submit("true")
    high = stack.submit("true", priority=5)
    assert "paused" in reason(stack, high)
    stack.ctl("queue", "resume", "default", check=True)
    done = [stack.client.wait(job.id, 30) for job in (high, first, second, low)]
    order = [begun(job) for job in done]
    assert order == sorted(order)


def test_a_job_that_waits_too_long_expires(stack: Stack) -> None:
    job = stack.run("true", expires_in=0.5, deadline=30)
    assert (job.state, job.end_reason, job.attempt) == (JobState.FAILED, EndReason.EXPIRED, 0)


def test_capacity_and_queues_change_while_it_runs(stack: Stack) -> None:
    stack.client.create_queue(QueueCreate(name="extra"))
    stack.agent("a", capacity=1)
    held = stack.submit("exec sleep 60")
    stack.reaches(held.id, JobState.RUNNING)
    job = stack.submit("true", queue="extra")
    stack.ctl(
        "agent", "set", "a", "--capacity", "2", "--queue", "default", "--queue", "extra", check=True
    )
    assert stack.client.wait(job.id, 30).state is JobState.SUCCEEDED
    stack.client.cancel(held.id)
    stack.client.wait(held.id, 30)
