"""Today's shim and journal work on attempts that older versions have written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_agent.config import Config
from remote_agent.journal import Journal
from remote_agent.planning.order import HostContext
from remote_agent.processes import boot_id
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Phase
from remote_protocol.spec import JobSpec
from tests.recorded.record import BOOT, SPECS, STATE
from tests.support.recorded import RECORDS
from tests.support.shim_harness import Run, ShimHarness, eventually, read_log, tell

SMALLEST, EVERYTHING = (AttemptId(job, 1) for job in SPECS)

HOST = HostContext("a", {})


@pytest.fixture(params=RECORDS, ids=[record.name for record in RECORDS])
def old(request: pytest.FixtureRequest, harness: ShimHarness) -> Iterator[ShimHarness]:
    """A state directory with the attempts of an older version, and today's shims."""
    for attempt in (request.param / "attempts").iterdir():
        directory = harness.root / "attempts" / attempt.name
        shutil.copytree(attempt, directory)
        # What git does not keep: empty directories.
        for name in ("work", "artifacts"):
            (directory / name).mkdir(exist_ok=True)
        order = directory / "attempt.jsonl"
        text = order.read_text().replace(STATE, str(harness.root)).replace(BOOT, boot_id())
        order.write_text(text)
    yield harness


def place(harness: ShimHarness, key: AttemptId) -> Path:
    return harness.root / "attempts" / str(key)


def test_the_smallest_order(old: ShimHarness) -> None:
    directory = place(old, SMALLEST)
    old.shims.request(directory)
    run = Run(directory, old.ended(directory))
    assert (run.code, run.reason, run.stdout) == (0, "exit", b"hi\n")


def test_an_order_with_everything(old: ShimHarness) -> None:
    directory = place(old, EVERYTHING)
    old.shims.request(directory)
    eventually(lambda: b"hello from recorder" in read_log(directory), what=old.log())
    assert tell(directory, {"do": "stop", "reason": "cancelled", "detail": "enough", "grace": 5})
    run = Run(directory, old.ended(directory))
    assert (run.code, run.reason, run.detail) == (
        9,
        "cancelled",
        "enough; exited with code 9 after SIGINT",
    )
    assert run.stdout == b"given\ninterrupted after hello\n"
    assert run.stderr == b"hello from recorder\n"
    assert (directory / "outputs").read_text() == "answer=42\n"


def test_the_journal_reads_what_was_accepted(old: ShimHarness) -> None:
    records = {record.key: record for record in Journal(Config(state_dir=old.root), HOST).scan()}
    assert set(records) == {SMALLEST, EVERYTHING}
    for key, record in records.items():
        assert (record.phase, record.size) == (Phase.ACCEPTED, 0)
        assert record.offer is not None and record.offer.attempt.job == key.job
        said = json.loads((place(old, key) / "attempt.jsonl").read_text().splitlines()[1])
        assert record.offer.spec == JobSpec.model_validate(said["offer"]["spec"])
    everything = records[EVERYTHING].offer
    assert everything is not None and everything.spec.env == {"GREETING": "hello"}


def test_the_journal_reads_what_todays_shim_made_of_it(old: ShimHarness) -> None:
    old.shims.request(place(old, SMALLEST))
    old.ended(place(old, SMALLEST))
    (record,) = [
        record
        for record in Journal(Config(state_dir=old.root), HOST).scan()
        if record.key == SMALLEST
    ]
    assert record.phase is Phase.ENDED and record.ended is not None
    assert (record.ended.exit_code, record.ended.size) == (0, record.size)
