"""Artifacts arrive whole and once: kill -9 of agent and server, cut links, while they are sent."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from remote_protocol.api.jobs import JobArtifacts, JobView
from remote_protocol.artifacts import ArtifactState
from remote_protocol.states import JobState
from tests.support.relay import Relay
from tests.support.stack import Stack, until

RATE = 4 << 20
LARGE = f'head -c {6 * RATE} /dev/urandom > "$REMOTE_ARTIFACTS/large"'
LONGER = LARGE.replace(str(6 * RATE), str(30 * RATE))
SUM = 'cd "$REMOTE_ARTIFACTS" && sha256sum $(find . -type f | sort)'


@pytest.fixture
def relay(stack: Stack):
    relay = Relay(("127.0.0.1", stack.port)).start()
    yield relay
    relay.stop()


def via(relay: Relay) -> str:
    return f"http://127.0.0.1:{relay.port}"


def arrived(stack: Stack, job: str) -> int:
    """Bytes of its artifacts that the server has."""
    folder = stack.data_dir / "artifacts" / job
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def complete(stack: Stack, job: JobView) -> JobArtifacts:
    """Wait until all have come; compare each with what the job has seen."""

    def look() -> JobArtifacts | None:
        found = stack.client.artifacts(job.id)
        return found if found.complete and found.expected else None

    found = until(look, "all artifacts have come", 90)
    assert found is not None
    seen: dict[str, str] = {}
    for line in stack.client.log(job.id).decode().splitlines():
        checksum, _, name = line.partition("  ")
        if name.startswith("./"):
            seen[name] = checksum
    assert {f"./{one.name}": one.sha256 for one in found.items} == seen
    for one in found.items:
        assert one.state is ArtifactState.COMPLETE, one
        data = b"".join(stack.client.artifact(job.id, one.name))
        assert hashlib.sha256(data).hexdigest() == one.sha256 and len(data) == one.size
    return found


def slowly(stack: Stack, relay: Relay, script: str) -> JobView:
    """Run a job whose artifacts take a while, until some of them have come."""
    relay.rate(RATE)
    job = stack.run(f"{script}; {SUM}")
    assert job.state is JobState.SUCCEEDED, job.end_detail
    until(lambda: arrived(stack, job.id) > 1 << 20, "some of it has come")
    assert not stack.client.artifacts(job.id).complete
    return job


def test_they_survive_the_agent(stack: Stack, relay: Relay) -> None:
    agent = stack.agent("a", url=via(relay))
    job = slowly(stack, relay, LARGE)
    for _ in range(3):
        agent.kill()
        size = arrived(stack, job.id)
        agent.start()
        until(lambda size=size: arrived(stack, job.id) > size, "it goes on")  # type: ignore[misc]
        assert arrived(stack, job.id) >= size, "nothing is sent twice"
    relay.rate(None)
    complete(stack, job)
    attempt = f"{job.id}.1"
    place = agent.state_dir / "attempts" / attempt
    until(lambda: not (place / "artifacts").exists(), "the host's copy goes")
    assert not (place / "artifacts.json").exists()


def test_they_survive_the_server(stack: Stack, relay: Relay) -> None:
    stack.agent("a", url=via(relay))
    job = slowly(stack, relay, LARGE)
    for _ in range(2):
        stack.server.kill()
        size = arrived(stack, job.id)
        stack.start_server()
        until(lambda size=size: arrived(stack, job.id) > size, "it goes on")  # type: ignore[misc]
    relay.rate(None)
    complete(stack, job)


def test_they_survive_cut_links(stack: Stack, relay: Relay) -> None:
    stack.agent("a", url=via(relay))
    job = slowly(stack, relay, LARGE)
    for _ in range(3):
        size = arrived(stack, job.id)
        relay.cut()
        until(lambda size=size: arrived(stack, job.id) > size, "it goes on")  # type: ignore[misc]
    relay.rate(None)
    complete(stack, job)


def test_an_agent_that_dies_before_its_job_ends(stack: Stack) -> None:
    agent = stack.agent("a")
    go = stack.root / "go"
    script = (
        f'while [ ! -e {go} ]; do sleep 0.02; done; echo k=v > "$REMOTE_OUTPUTS"; {LARGE}; {SUM}'
    )
    job = stack.submit(script)
    stack.reaches(job.id, JobState.RUNNING)
    agent.kill()
    go.touch()
    attempt = next((agent.state_dir / "attempts").glob(f"{job.id}.*"))
    until((attempt / "exit.json").exists, "the shim writes the exit record")
    agent.start()
    ended = stack.client.wait(job.id, 60)
    assert (ended.state, ended.outputs) == (JobState.SUCCEEDED, {"k": "v"})
    complete(stack, ended)


def test_output_of_jobs_goes_first(stack: Stack, relay: Relay) -> None:
    stack.agent("a", url=via(relay))
    job = slowly(stack, relay, LONGER)
    other = stack.run("echo hello")
    assert stack.client.log(other.id) == b"hello\n"
    assert not stack.client.artifacts(job.id).complete, "it waited for another one's artifacts"
    relay.rate(None)
    complete(stack, job)


def test_many_files_of_many_jobs(stack: Stack) -> None:
    stack.agent("a", capacity=4)
    script = (
        'i=0; while [ $i -lt 40 ]; do mkdir -p "$REMOTE_ARTIFACTS/d$i"; '
        'head -c ${i}00 /dev/urandom > "$REMOTE_ARTIFACTS/d$i/f ü"; i=$((i+1)); done'
    )
    sums = 'cd "$REMOTE_ARTIFACTS" && find . -type f -exec sha256sum {} +'
    jobs = [stack.submit(f"{script}; {sums}") for _ in range(8)]
    for job in jobs:
        found = complete(stack, stack.client.wait(job.id, 60))
        assert len(found.items) == found.expected == 40


def test_what_a_host_no_longer_has_fails_in_words(stack: Stack, relay: Relay) -> None:
    agent = stack.agent("a", url=via(relay))
    job = slowly(stack, relay, f'{LARGE}; echo x > "$REMOTE_ARTIFACTS/small"')
    agent.kill()
    place = next((agent.state_dir / "attempts").glob(f"{job.id}.*"))
    for path in list(Path(place / "artifacts").iterdir()):
        path.unlink()
    agent.start()
    relay.rate(None)
    until(lambda: stack.client.artifacts(job.id).complete, "it is given up")
    found = stack.client.artifacts(job.id)
    failed = [one for one in found.items if one.state is ArtifactState.FAILED]
    assert failed and all("No such file" in (one.reason or "") for one in failed)
    done = stack.ctl("job", "artifacts", "get", job.id, "--dir", stack.root / "got")
    assert done.returncode == 1 and b"No such file" in done.stderr
