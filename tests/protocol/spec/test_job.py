"""Specifications of jobs: what is accepted, and the sentence that says why something is not."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from remote_protocol.limits import MAX_ENV_SIZE
from remote_protocol.spec import DEFAULT_QUEUE, JobSpec, OnReturn
from remote_protocol.states import EndReason


def spec(**fields: Any) -> JobSpec:
    return JobSpec.model_validate({"command": ["true"], **fields})


def test_a_command_is_all_that_is_needed() -> None:
    job = spec()
    assert job.queue == DEFAULT_QUEUE
    assert not job.names_queue
    assert job.kind == "command"
    assert job.max_attempts == 1
    assert job.retry_on == [EndReason.LOST]
    assert job.on_disconnect.on_return is OnReturn.KEEP_REPLACEMENT


def test_durations_and_sizes_are_written_for_people() -> None:
    job = spec(timeout="1h30m", memory_limit="512MiB", on_disconnect={"lost_after": "2m"})
    assert (job.timeout, job.memory_limit) == (5400, 512 * 1024**2)
    assert job.on_disconnect.lost_after == 120


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"queue": "no queue"}, "queue"),
        ({"env": {"1A": "x"}}, "not a usable environment variable"),
        ({"env": {"A": "x\0"}}, "not a usable environment variable"),
        ({"env": {"REMOTE_JOB_ID": "x"}}, "set by the agent"),
        ({"env": {f"A{n}": "x" * (MAX_ENV_SIZE // 5) for n in range(6)}}, "larger than"),
        ({"secrets": ["A-B"]}, "is no name of a secret"),
        ({"secrets": ["A"], "env": {"A": "x"}}, "A is in env and in secrets"),
        ({"secret_files": ["A"]}, "which is not in secrets"),
        ({"timeout": "soon"}, "30s, 10m or 1h30m"),
        ({"memory_limit": "1KiB"}, "give at least 1 MiB"),
        ({"max_log": 4095}, "give at least 4 KiB"),
        ({"cwd": "a\0"}, "cannot contain a NUL"),
        ({"name": "a\0"}, "it cannot contain a NUL"),
        ({"idempotency_key": "a\0"}, "it cannot contain a NUL"),
        ({"labels": {"a\0": "b"}}, "a label's key cannot contain a NUL"),
        ({"labels": {"a": "b\0"}}, "it cannot contain a NUL"),
        ({"queue": "a\0"}, "queue"),
        ({"agent": "a\0"}, "agent"),
        ({"retry_on": ["exit"]}, "retry_on does nothing with max_attempts 1"),
        ({"agent": "no name"}, "agent"),
        ({"weight": 0}, "weight"),
        ({"weight": 1.1}, "weight"),
        ({"priority": 1001}, "priority"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"retry_on": ["bad luck"]}, "retry_on"),
        ({"stop_signal": "SIGKILL"}, "stop_signal"),
        ({"colour": "red"}, "colour"),
        ({"on_disconnect": {"lost_after": "10m", "mood": 1}}, "mood"),
        ({"labels": {"a=b": "c"}}, "label's key"),
    ],
)
def test_a_mistake_is_named(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        spec(**fields)


def test_parts_are_equal_by_their_values_and_hashed_so() -> None:
    first, second = (spec(on_disconnect={"lost_after": "2m"}) for _ in range(2))
    assert first == second and first.on_disconnect is not second.on_disconnect
    assert len({first.on_disconnect, second.on_disconnect}) == 1
    assert first != spec() and first.on_disconnect != spec().on_disconnect
    assert first.on_disconnect != 120


def test_other_variables_of_ours_are_free() -> None:
    assert spec(env={"REMOTE_URL": "x", "A.b-c": ""}).env == {"REMOTE_URL": "x", "A.b-c": ""}


def file(path: str = "a", data: bytes = b"") -> dict[str, Any]:
    return {"path": path, "content": b64encode(data).decode()}


def test_files_are_looked_at_together() -> None:
    assert len(spec(files=[file("a"), file("b")]).files) == 2
    with pytest.raises(ValidationError, match="two files have the path"):
        spec(files=[file("a"), file("a")])


def test_only_real_retries_need_attempts() -> None:
    assert spec(retry_on=[]).retry_on == []
    assert spec(retry_on=["lost"]).max_attempts == 1
    assert spec(retry_on=["exit", "lost"], max_attempts=2).max_attempts == 2


@pytest.mark.parametrize("field", ["timeout", "expires_in"])
@pytest.mark.parametrize("nothing", [0, "0s", 0.0, "0"])
def test_no_time_at_all_is_no_limit(field: str, nothing: object) -> None:
    with pytest.raises(ValidationError, match="zero is not a limit; leave it out for none"):
        spec(**{field: nothing})


@pytest.mark.parametrize("huge", [10**400, 1e400, float("nan"), "9" * 5000, -1])
@pytest.mark.parametrize("field", ["timeout", "memory_limit", "max_log", "grace_period"])
def test_no_number_breaks_it(field: str, huge: object) -> None:
    with pytest.raises(ValidationError, match=field):
        spec(**{field: huge})
    with pytest.raises(ValidationError):
        JobSpec.model_validate_json(f'{{"command": ["true"], "{field}": {"9" * 4000}}}')


def test_one_fault_stands_for_many() -> None:
    """What is said about a bad job is not larger than the job."""
    names = {f"{n} bad": "x" for n in range(4000)}
    labels = {f"{n}": "x" * 500 for n in range(1000)}
    with pytest.raises(ValidationError) as caught:
        spec(env=names, labels=labels, command=["a\0"] * 5000)
    assert caught.value.error_count() == 3


def test_a_specification_goes_through_json_unchanged() -> None:
    job = spec(timeout="5s", files=[file("a", b"x")], labels={"os": "linux"}, retry_on=[])
    assert JobSpec.model_validate_json(job.model_dump_json()) == job


def test_a_job_reads_and_merges_only_when_asked_to() -> None:
    assert (spec().stdin, spec().merge_output) == (False, False)


def test_a_submission_says_whether_it_names_a_queue() -> None:
    named = JobSpec.model_validate({"command": ["true"], "queue": DEFAULT_QUEUE})
    assert named.names_queue and named.short_json == '{"command":["true"]}'
    assert named.submission == '{"queue":"default","command":["true"]}'
    assert JobSpec.model_validate_json(named.submission) == named
    other = JobSpec.model_validate({"command": ["true"], "queue": "berlin"})
    assert other.submission == other.short_json == '{"queue":"berlin","command":["true"]}'
    without = JobSpec.model_validate({"command": ["true"]})
    assert without.submission == without.short_json == '{"command":["true"]}'


def test_no_generated_client_fills_in_a_queue() -> None:
    shown = TypeAdapter(JobSpec).json_schema(mode="validation")
    found = [one["properties"]["queue"] for one in shown["$defs"].values() if "properties" in one
             and "queue" in one["properties"]]  # fmt: skip
    assert found and all("default" not in one for one in found)
