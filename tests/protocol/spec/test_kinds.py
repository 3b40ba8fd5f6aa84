"""Kinds of jobs: one registration makes a kind known to messages, bodies and views."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import Field, PlainSerializer, ValidationError, WrapSerializer
from pydantic_core import from_json

from remote_protocol import codec, extensions
from remote_protocol.api.bodies import Page
from remote_protocol.api.jobs import JobBatch, JobView, view_of
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Offer
from remote_protocol.spec import CommandSpec, ContainerSpec, JobSpec, PythonSpec
from tests.support.extensions import installed, toy

__all__ = ["toy"]

JOB = "01ARYZ6S410000000000000000"
SHOWN = {"id": JOB, "state": "queued", "created_at": datetime(2026, 11, 21, tzinfo=UTC)}


class SleepSpec(JobSpec):
    """A kind as another module would add it."""

    kind: Literal["sleep"] = "sleep"
    seconds: float = Field(default=1.0, ge=0)


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A job of a kind that is registered for one test."""
    monkeypatch.setitem(JobSpec.kinds, "sleep", SleepSpec)
    yield {"kind": "sleep", "seconds": 3}


def test_the_kinds_of_this_version() -> None:
    own = {kind: model for kind, model in JobSpec.kinds.items() if kind not in extensions.names()}
    assert own == {
        "command": CommandSpec,
        "container": ContainerSpec,
        "python": PythonSpec,
    }


@pytest.mark.usefixtures("toy")
def test_the_kind_of_an_extension_is_met_when_it_is_needed() -> None:
    assert "toy" not in JobSpec.kinds
    job = JobSpec.model_validate_json('{"kind": "toy", "greeting": "good day"}')
    assert job.short_json == '{"kind":"toy","greeting":"good day"}'
    assert view_of(type(job)).__name__ == "ToyJobView"
    with pytest.raises(ValidationError, match="greeting"):
        JobSpec.model_validate({"kind": "toy", "greeting": 3})


@pytest.mark.usefixtures("toy")
def test_the_schema_has_the_kinds_of_extensions() -> None:
    assert {"ToySpec", "DatahubSpec"} <= set(JobBatch.model_json_schema()["$defs"])


def test_an_unknown_kind_is_named_with_those_of_extensions() -> None:
    with pytest.raises(ValidationError, match="known kinds: command, container, datahub, python"):
        JobSpec.model_validate({"kind": "dance"})


def test_the_kind_of_a_broken_extension_says_why(tmp_path: Path) -> None:
    folder = tmp_path / extensions.NAMESPACE
    folder.mkdir()
    (folder / "half.py").write_text("import nothing_such")
    with installed(tmp_path), pytest.raises(ValidationError, match="nothing_such") as caught:
        JobSpec.model_validate({"kind": "half"})
    assert caught.value.errors()[0]["loc"] == ("kind",)


def test_a_job_without_a_kind_is_a_command() -> None:
    for job in (
        JobSpec.model_validate({"command": ["true"]}),
        JobSpec.model_validate_json('{"command": ["true"]}'),
        JobSpec.model_validate_json('{"kind": "command", "command": ["true"]}'),
    ):
        assert job == CommandSpec(command=["true"])


def test_a_kind_gives_its_own_model(sleep: dict[str, Any]) -> None:
    job = JobSpec.model_validate(sleep)
    assert job == SleepSpec(seconds=3)
    assert JobSpec.model_validate(job) is job
    assert JobSpec.model_validate_json(job.model_dump_json()) == job


@pytest.mark.parametrize("seconds", [1, 3])
def test_a_short_form_keeps_the_kind(sleep: dict[str, Any], seconds: int) -> None:
    job = SleepSpec(seconds=seconds)
    assert JobSpec.model_validate_json(job.short_json) == job
    assert CommandSpec(command=["a"]).short_json == '{"command":["a"]}'


@pytest.mark.parametrize(
    "given",
    [
        {"command": ["true"], "max_log": 5000, "retry_on": ["lost"], "on_disconnect": {}},
        {"command": ["true"], "files": [{"path": "a", "content": "Yg=="}], "env": {"A": "é"}},
        {"kind": "python", "script": "print()", "on_disconnect": {"stop_after": 3}},
        {"kind": "container", "image": "debian", "timeout": 1.5},
    ],
)
def test_what_was_given_is_the_same_job(given: dict[str, Any]) -> None:
    job = JobSpec.model_validate(given)
    written = from_json(job.given_json)
    assert written.keys() == {*given, "kind"}, "and nothing that was not given"
    assert JobSpec.model_validate(written) == job
    changed = job.model_copy(update={"files": []})
    assert JobSpec.model_validate(from_json(changed.given_json)) == changed


def test_a_kind_that_is_made_here_is_named(sleep: dict[str, Any]) -> None:
    assert from_json(SleepSpec(seconds=3).given_json) == {"kind": "sleep", "seconds": 3.0}


@pytest.mark.parametrize("kind", [CommandSpec, ContainerSpec, PythonSpec])
def test_no_field_has_a_serializer_of_its_own(kind: type[JobSpec]) -> None:
    # `given_json` would not ask it.
    own = kind.__pydantic_decorators__
    assert not (own.field_serializers or own.model_serializers)
    metadata = [part for field in kind.model_fields.values() for part in field.metadata]
    assert not any(isinstance(part, PlainSerializer | WrapSerializer) for part in metadata)


def test_an_offer_carries_any_kind(sleep: dict[str, Any]) -> None:
    offer = Offer(attempt=AttemptId(JOB, 1), spec=SleepSpec(seconds=3))
    assert codec.decode_from_server(codec.encode(offer)) == offer
    assert '"name"' not in codec.encode(offer), "what is not set is not sent"


def test_a_batch_mixes_kinds(sleep: dict[str, Any]) -> None:
    jobs = JobBatch.model_validate({"jobs": [{"command": ["true"]}, sleep]}).jobs
    assert [type(job) for job in jobs] == [CommandSpec, SleepSpec]


def test_a_view_has_the_fields_of_its_kind(sleep: dict[str, Any]) -> None:
    page = Page[JobView].model_validate(
        {"items": [{**SHOWN, "command": ["true"]}, {**SHOWN, **sleep, "new": 1}]}
    )
    first, second = page.items
    assert isinstance(first, JobView)
    assert isinstance(first, CommandSpec)
    assert first.command == ["true"]
    assert isinstance(second, view_of(SleepSpec))
    assert isinstance(second, SleepSpec)
    assert (second.seconds, second.id) == (3, JOB)
    assert Page[JobView].model_validate_json(page.model_dump_json()) == page


@pytest.mark.parametrize("kind", ["dance", "", None, 3, ["command"], {"a": 1}, "x" * 10_000, "{}"])
def test_an_unknown_kind_is_named_with_the_known_ones(kind: object) -> None:
    with pytest.raises(ValidationError, match="known kinds: command") as caught:
        JobSpec.model_validate({"kind": kind, "command": ["true"]})
    (fault,) = caught.value.errors()
    assert fault["loc"] == ("kind",)
    assert len(fault["msg"]) < 200


def test_a_fault_is_named_as_without_kinds(sleep: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        JobBatch.model_validate({"jobs": [sleep, {"command": ["true"], "weight": 3}]})
    assert [fault["loc"] for fault in caught.value.errors()] == [("jobs", 1, "weight")]
    with pytest.raises(ValidationError) as caught:
        JobSpec.model_validate({**sleep, "command": ["true"]})
    assert [fault["loc"] for fault in caught.value.errors()] == [("command",)]


@pytest.mark.parametrize("document", ["[]", "3", "null", '"command"'])
def test_what_is_no_object_is_no_job(document: str) -> None:
    with pytest.raises(ValidationError, match="should be an object"):
        JobSpec.model_validate_json(document)


def test_the_schema_has_every_kind(sleep: dict[str, Any]) -> None:
    schema = JobBatch.model_json_schema()
    assert set(schema["$defs"]) >= {"JobSpec", "CommandSpec", "SleepSpec"}
    job = schema["$defs"]["JobSpec"]
    assert job["discriminator"]["propertyName"] == "kind"
    assert set(job["discriminator"]["mapping"]) == {*JobSpec.kinds}
    assert len(job["oneOf"]) == len(JobSpec.kinds)
