"""Copies of logs in a bucket, in the folders that users of DataHub's executor know. Real servers,
agents and SeaweedFS."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import obstore
import pytest

from remote_protocol.states import JobState
from tests.e2e.faults.test_logs import metric
from tests.s3.object_storages import READER, SeaweedFS
from tests.support.stack import Stack, until

KILLED_AFTER_A_PUT = """
import os, signal
from remote_server.s3 import Bucket
real = Bucket.put
async def put(self, name, content):
    await real(self, name, content)
    os.kill(os.getpid(), signal.SIGKILL)
Bucket.put = put
from remote_server.cli import main
main()
"""


class Place:
    """A folder of the bucket `logs` for copies, and a stack that makes them."""

    def __init__(self, root: Path, weed: SeaweedFS) -> None:
        self.root, self.weed = root, weed
        self.prefix = f"copies/{uuid.uuid4().hex}"

    def stack(self, **settings: str) -> Stack:
        found = Stack(
            self.root,
            LOGS_COPIES=f"s3://logs/{self.prefix}",
            S3_ENDPOINT=self.weed.url,
            **settings,
        )
        found.server.env.update(self.weed.variables())
        return found

    def names(self) -> list[str]:
        return sorted(
            entry["path"].removeprefix(f"{self.prefix}/")
            for page in obstore.list(self.weed.store("logs"), self.prefix)
            for entry in page
        )

    def unpacked(self, name: str) -> dict[str, bytes]:
        """What the system's own tar finds in a copy."""
        folder = self.root / uuid.uuid4().hex
        folder.mkdir()
        data = obstore.get(self.weed.store("logs"), f"{self.prefix}/{name}").bytes()
        subprocess.run(["tar", "-xz", "-C", folder], input=bytes(data), check=True)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path, weed: SeaweedFS) -> Iterator[Place]:
    if not weed.program.running:
        weed.restart()
    weed.make("logs")
    yield Place(tmp_path, weed)


def test_a_copy_lies_where_users_of_datahub_look(place: Place) -> None:
    with place.stack() as stack:
        stack.start_server()
        stack.agent("a")
        view = stack.run(
            "printf 'out\\n\\377'; echo err >&2",
            name="snowflake",
            annotations={"datahub.exec_id": "3f0e6a1c-5d0b-4c2e-9d6e-0b8f6f1d2a77"},
        )
        assert view.state is JobState.SUCCEEDED, view.end_detail
        until(place.names, "a copy is there")
        day = (view.ended_at or datetime.now(UTC)).astimezone(UTC)
        (name,) = place.names()
        assert name == (
            f"snowflake/{day:year=%Y/month=%m/day=%d}/3f0e6a1c-5d0b-4c2e-9d6e-0b8f6f1d2a77"
            f"/{view.id}.tgz"
        )
        (printed,) = place.unpacked(name).values()
        assert sorted(printed.replace(b"err\n", b"")) == sorted(b"out\n\xff")
        assert b"err\n" in printed
        until(lambda: metric(stack, "remote_log_copies_total") == 1, "it is counted")


def test_no_job_is_left_out_whatever_is_killed_or_away(place: Place) -> None:
    with place.stack() as stack:
        command = stack.server.command
        stack.server.command = [sys.executable, "-c", KILLED_AFTER_A_PUT, *command[1:]]
        stack.start_server()
        stack.agent("a")
        jobs = [stack.submit(f"echo {n}").id for n in range(3)]
        # It dies after its first copy, before it has noted that.
        stack.server.wait(60)
        stack.server.command = command
        place.weed.program.kill()
        stack.start_server()
        stack.online("a")
        for job in jobs:
            stack.reaches(job, JobState.SUCCEEDED)
        jobs.append(stack.run("echo while the bucket is away").id)
        until(lambda: "a log cannot be copied now" in stack.server.words(), "the log says so")
        until(lambda: metric(stack, "remote_log_copy_failures_total") >= 1, "it is counted")
        place.weed.restart()
        place.weed.make("logs")
        until(lambda: len(place.names()) == len(jobs), "all copies are there", 90)
        assert {name.split("/")[-2] for name in place.names()} == set(jobs)
        until(lambda: "logs are copied again" in stack.server.words(), "the log says so")


def test_keys_that_may_not_write_fail_no_job(place: Place) -> None:
    with place.stack() as stack:
        stack.server.env.update(place.weed.variables(READER))
        stack.start_server()
        stack.agent("a")
        assert stack.run("echo hi").state is JobState.SUCCEEDED
        until(lambda: "access is denied" in stack.server.words(), "the server says why")
        assert place.names() == []
