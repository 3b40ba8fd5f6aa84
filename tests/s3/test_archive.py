"""Logs on their way to a bucket: faults, crashes, another server. Real servers, agents, SeaweedFS.

No job ever fails for what the bucket does, and no byte of a log is lost.
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest

from remote_protocol.states import JobState
from tests.e2e.faults.test_logs import complete, get, job, metric
from tests.s3.object_storages import KEYS, READER, SeaweedFS
from tests.support.stack import BIN, Stack, until

BEFORE_THE_LAST_PART = """
import os, signal
import obstore
real, calls = obstore.put, []
def put(store, name, content, **options):
    def cut(blocks):
        for number, block in enumerate(blocks):
            if number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            yield block
    return real(store, name, cut(content) if options.get("use_multipart") else content, **options)
obstore.put = put
from remote_server.cli import main
main()
"""
AFTER_A_PUT = """
import os, signal
from remote_server.logs.s3 import S3Archive
real = S3Archive.put
async def put(self, name, content):
    await real(self, name, content)
    os.kill(os.getpid(), signal.SIGKILL)
S3Archive.put = put
from remote_server.cli import main
main()
"""
LOUD = "head -c 12000000 /dev/urandom | base64 -w 99"


class Place:
    """A folder of the bucket `logs`, fresh for each test, and a stack whose archive it is."""

    def __init__(self, root: Path, weed: SeaweedFS) -> None:
        self.root, self.weed = root, weed
        self.prefix = uuid.uuid4().hex

    def stack(self, keys: tuple[str, str] = KEYS, name: str = "", **settings: str) -> Stack:
        folder = self.root / (name or "stack")
        folder.mkdir(exist_ok=True)
        found = Stack(
            folder,
            LOGS_ARCHIVE=f"s3://logs/{self.prefix}",
            LOGS_PACK_AFTER="1s",
            S3_ENDPOINT=self.weed.url,
            **settings,
        )
        found.server.env.update(self.weed.variables(keys))
        return found

    def names(self) -> set[str]:
        return {
            entry["path"]
            for page in obstore.list(self.weed.store("logs"), self.prefix)
            for entry in page
        }

    def packed(self, stack: Stack, jobs: dict[str, str]) -> None:
        """Wait until the logs are in the bucket, and nowhere else."""

        def there() -> bool:
            found = {name.split("/")[-2] for name in self.names() if name.endswith(".log.gz")}
            return found == set(jobs.values()) and not [*(stack.data_dir / "logs").rglob("*.log")]

        until(there, "all logs are packed", 60)


@pytest.fixture
def place(tmp_path: Path, weed: SeaweedFS) -> Iterator[Place]:
    if not weed.program.running:
        weed.restart()
    weed.make("logs")
    yield Place(tmp_path, weed)


def check(stack: Stack) -> str:
    done = subprocess.run(
        [BIN / "remote-server", "check", "--data-dir", stack.data_dir],
        env=stack.server.env, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


def test_logs_go_to_the_bucket_and_are_read_from_there(place: Place) -> None:
    with place.stack() as stack:
        stack.start_server()
        stack.agent("a")
        jobs = {name: job(stack, name) for name in ("one", "two", "three")}
        place.packed(stack, jobs)
        complete(stack, jobs)
        assert check(stack).startswith("sound: 3 jobs")
        for name in place.names():
            packed = bytes(obstore.get(place.weed.store("logs"), name).bytes())
            assert gzip.decompress(packed).count(b" stdout F ") == 3000
        assert KEYS[1] not in stack.server.words()


def test_another_server_reads_what_the_first_has_packed(place: Place, tmp_path: Path) -> None:
    with place.stack() as stack:
        stack.start_server()
        stack.agent("a")
        jobs = {"one": job(stack, "one")}
        place.packed(stack, jobs)
        # As a stand-by with a data directory of its own: what else the first one had is gone.
        stack.server.kill()
        (stack.data_dir / "logs").rename(tmp_path / "lost")
        stack.start_server()
        complete(stack, jobs)


def test_a_storage_that_is_away_holds_nobody_up(place: Place) -> None:
    with place.stack() as stack:
        stack.start_server()
        stack.agent("a")
        old = {"old": job(stack, "old")}
        place.packed(stack, old)
        place.weed.program.kill()
        jobs = {name: job(stack, name) for name in ("one", "two")}
        until(lambda: "cannot be moved to the archive" in stack.server.words(), "the log says so")
        assert f"s3://logs/{place.prefix}: it cannot be reached" in stack.server.words()
        until(lambda: metric(stack, "remote_log_archive_failures_total") >= 1, "it is counted")
        complete(stack, jobs)
        answer = get(stack, f"/api/v1/jobs/{old['old']}/log")
        assert (answer.status_code, "cannot be reached" in answer.text) == (503, True), answer.text
        # The server may be started meanwhile, too.
        stack.server.kill()
        stack.start_server()
        stack.online("a")
        jobs["three"] = job(stack, "three")
        place.weed.restart()
        place.weed.make("logs")
        jobs |= old
        place.packed(stack, jobs)
        complete(stack, jobs)
        until(lambda: metric(stack, "remote_logs_unpacked") == 0, "none is left")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ((KEYS[0], "wrong"), "the secret key does not fit the access key"),
        (("AKIANOBODY", "wrong"), "the access key is not known there"),
        (READER, "access is denied; the keys or the role need s3:GetObject, s3:PutObject"),
    ],
)
def test_keys_that_do_not_do(place: Place, keys: tuple[str, str], said: str) -> None:
    with place.stack(keys) as stack:
        stack.start_server()
        stack.agent("a")
        jobs = {"one": job(stack, "one")}
        until(lambda: said in stack.server.words(), "the server says why")
        assert keys[1] not in stack.server.words()
        complete(stack, jobs)
        # With the right ones all of it goes on.
        stack.server.stop()
        stack.server.env.update(place.weed.variables())
        stack.start_server()
        place.packed(stack, jobs)
        complete(stack, jobs)


@pytest.mark.parametrize("code", [BEFORE_THE_LAST_PART, AFTER_A_PUT], ids=["in", "after"])
def test_a_server_that_is_killed_while_it_packs(place: Place, code: str) -> None:
    with place.stack(LIMITS_MIN_FREE_DISK="1") as stack:
        command = stack.server.command
        stack.server.command = [sys.executable, "-c", code, *command[1:]]
        stack.start_server()
        agent = stack.agent("a")
        view = stack.run(LOUD, deadline=60)
        assert view.state is JobState.SUCCEEDED, view.end_detail
        text = stack.client.log(view.id)
        assert len(text) > 15_000_000
        stack.server.wait(60)
        assert [*(stack.data_dir / "logs").rglob("*.log")], "the original is still there"
        stack.server.command = command
        stack.start_server()
        stack.online("a")
        assert stack.client.log(view.id) == text
        place.packed(stack, {"loud": view.id})
        assert stack.client.log(view.id) == text
        assert check(stack).startswith("sound: 1 job")
        assert agent.running


def test_a_bucket_is_no_reason_not_to_start_but_bad_settings_are(place: Place) -> None:
    with place.stack(LOGS_ARCHIVE_DIR="/mnt") as stack:
        stack.server.start()
        assert stack.server.wait() == 2
        assert "archive_dir names another place" in stack.server.words()
