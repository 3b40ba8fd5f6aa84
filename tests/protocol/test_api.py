"""HTTP bodies: clients may not misspell, servers may add fields, secrets stay out of views."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from remote_protocol import api
from remote_protocol.api import (
    AgentChange,
    AgentDrain,
    AgentView,
    Body,
    JobBatch,
    JobView,
    Page,
    Problem,
    QueueChange,
    RegistrationTokenCreate,
    TokenCreate,
    TokenCreated,
    TokenView,
    VersionView,
    View,
)
from remote_protocol.ids import Role
from remote_protocol.limits import MAX_BATCH_JOBS
from remote_protocol.spec import JobSpec
from remote_protocol.states import JobState

JOB = "01ARYZ6S410000000000000000"
AT = datetime(2026, 11, 21, tzinfo=UTC)
BODIES = [body for body in Body.__subclasses__() if body.__module__ == api.__name__]
VIEWS = [view for view in View.__subclasses__() if view.__module__ == api.__name__]


@pytest.mark.parametrize("body", BODIES)
def test_an_unknown_field_of_a_client_is_a_mistake(body: type[Body]) -> None:
    with pytest.raises(ValidationError, match="no_such_field"):
        body.model_validate({"no_such_field": 1})


@pytest.mark.parametrize("view", [*VIEWS, JobView])
def test_an_unknown_field_of_a_server_is_ignored(view: type[View]) -> None:
    assert view.model_config["extra"] == "ignore"
    assert view.model_config["frozen"] is True


def test_a_job_as_shown_is_its_specification_and_more() -> None:
    spec = JobSpec(command=["true"], labels={"os": "linux"})
    fields = {**spec.model_dump(), "id": JOB, "state": "queued", "created_at": AT, "new": 1}
    view = JobView.model_validate(fields)
    assert view.state is JobState.QUEUED
    assert JobView.model_validate_json(view.model_dump_json()) == view
    assert JobSpec.model_validate({k: fields[k] for k in JobSpec.model_fields}) == spec


def test_a_batch_is_bounded() -> None:
    job = {"command": ["true"]}
    with pytest.raises(ValidationError):
        JobBatch.model_validate({"jobs": []})
    with pytest.raises(ValidationError):
        JobBatch.model_validate({"jobs": [job] * (MAX_BATCH_JOBS + 1)})


@pytest.mark.parametrize("change", [AgentChange, QueueChange])
def test_a_change_tells_what_is_left_out(change: type[Body]) -> None:
    assert change().model_fields_set == set()


def test_an_agent_keeps_a_queue() -> None:
    with pytest.raises(ValidationError):
        AgentChange(queues=[])


def test_a_view_of_a_token_has_no_secret() -> None:
    assert TokenCreated.model_fields.keys() - TokenView.model_fields.keys() == {"token"}


def test_defaults_are_careful() -> None:
    assert TokenCreate(name="x").role is Role.VIEWER
    assert RegistrationTokenCreate().expires == 3600
    assert AgentDrain.model_validate({"deadline": "1h"}).deadline == 3600
    with pytest.raises(ValidationError):
        RegistrationTokenCreate(uses=0)


def test_a_page_holds_its_items() -> None:
    page = Page[VersionView].model_validate({"items": [{"version": "1", "protocol": 1}]})
    assert page.items[0].api == "v1"
    assert page.next_cursor is None


def test_a_problem_names_its_code() -> None:
    problem = Problem.model_validate({"title": "Not found", "status": 404, "code": "not_found"})
    assert problem.type == "about:blank"
    with pytest.raises(ValidationError, match="code"):
        Problem.model_validate({"title": "Not found", "status": 404})


def test_an_agent_view_survives_a_newer_server() -> None:
    view = AgentView.model_validate(
        {
            "name": "a",
            "state": "online",
            "queues": ["default"],
            "capacity": {"default": 2},
            "registered_at": AT,
            "moons": 2,
        }
    )
    assert view.condition.accepting
