"""Specifications of jobs: what is accepted, and the sentence that says why something is not."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from pydantic import ValidationError

from remote_protocol.limits import MAX_COMMAND_SIZE, MAX_ENV_SIZE, MAX_FILES_SIZE
from remote_protocol.spec import DEFAULT_QUEUE, JobFile, JobKind, JobSpec, OnReturn
from remote_protocol.states import EndReason


def spec(**fields: Any) -> JobSpec:
    return JobSpec.model_validate({"command": ["true"], **fields})


def test_a_command_is_all_that_is_needed() -> None:
    job = spec()
    assert job.queue == DEFAULT_QUEUE
    assert job.kind is JobKind.COMMAND
    assert job.max_attempts == 1
    assert job.retry_on == [EndReason.LOST]
    assert job.on_disconnect.on_return is OnReturn.KEEP_REPLACEMENT
    assert job.script_text is None


def test_durations_and_sizes_are_written_for_people() -> None:
    job = spec(timeout="1h30m", memory_limit="512MiB", on_disconnect={"lost_after": "2m"})
    assert (job.timeout, job.memory_limit) == (5400, 512 * 1024**2)
    assert job.on_disconnect.lost_after == 120


def test_a_shell_gets_the_words_or_the_script() -> None:
    assert spec(shell="bash", command=["echo", "a;", "b"]).script_text == "echo a; b"
    assert spec(shell="bash", command=[], script="exit 3").script_text == "exit 3"


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"command": []}, "give a command"),
        ({"command": [""]}, "give a command"),
        ({"script": "x", "shell": "bash"}, "not both"),
        ({"command": [], "script": "x"}, "needs a shell"),
        ({"command": ["a\0b"]}, "NUL"),
        ({"command": ["x" * MAX_COMMAND_SIZE]}, "use a file"),
        ({"kind": "python"}, "not supported by this version"),
        ({"kind": "container"}, "not supported by this version"),
        ({"kind": "dance"}, "kind"),
        ({"queue": "no queue"}, "queue"),
        ({"env": {"1A": "x"}}, "not a usable environment variable"),
        ({"env": {"A": "x\0"}}, "not a usable environment variable"),
        ({"env": {"REMOTE_JOB_ID": "x"}}, "set by the agent"),
        ({"env": {"A": "x" * (MAX_ENV_SIZE + 1)}}, "larger than"),
        ({"timeout": "soon"}, "30s, 10m or 1h30m"),
        ({"memory_limit": "1KiB"}, "memory_limit"),
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


def test_other_variables_of_ours_are_free() -> None:
    assert spec(env={"REMOTE_URL": "x", "A.b-c": ""}).env == {"REMOTE_URL": "x", "A.b-c": ""}


def file(path: str = "a", data: bytes = b"", **fields: Any) -> dict[str, Any]:
    return {"path": path, "content": b64encode(data).decode(), **fields}


def test_a_file_holds_any_bytes() -> None:
    data = bytes(range(256))
    (one,) = spec(files=[file("sub/dir/x.bin", data, mode=0o755)]).files
    assert (one.path, one.data, one.mode) == ("sub/dir/x.bin", data, 0o755)


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../../x", "\\\\host\\x", "C:/x", "c:x", "a\\..\\x", "a\0b"],
)
def test_a_file_stays_inside_the_work_directory(path: str) -> None:
    with pytest.raises(ValidationError):
        JobFile(path=path, content="")


@pytest.mark.parametrize("content", ["?", "YQ", "YQ==x"])
def test_a_file_is_base64(content: str) -> None:
    with pytest.raises(ValidationError, match="base64"):
        JobFile(path="a", content=content)


def test_files_are_bounded_together() -> None:
    half = b"x" * (MAX_FILES_SIZE // 2 + 10)
    spec(files=[file("a", half)])
    with pytest.raises(ValidationError, match="larger than"):
        spec(files=[file("a", half), file("b", half)])


def test_a_specification_goes_through_json_unchanged() -> None:
    job = spec(timeout="5s", files=[file("a", b"x")], labels={"os": "linux"}, retry_on=["exit"])
    assert JobSpec.model_validate_json(job.model_dump_json()) == job
