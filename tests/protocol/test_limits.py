"""The limits fit each other."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from remote_protocol import limits
from remote_protocol.api.bodies import Body
from remote_protocol.codec import HEADER_SIZE
from remote_protocol.messages import AgentMessage, ServerMessage
from remote_protocol.parts import Settings
from remote_protocol.spec import JobSpec
from tests.support.api_models import API_MODULES
from tests.support.bounds import unbounded


@pytest.mark.parametrize("kind", [AgentMessage, ServerMessage, JobSpec])
def test_everything_that_comes_over_a_link_is_bounded(kind: object) -> None:
    assert unbounded(kind) == []


@pytest.mark.parametrize(
    "body", [body for body in Body.__subclasses__() if body.__module__ in API_MODULES]
)
def test_everything_that_a_client_sends_is_bounded(body: type[Body]) -> None:
    assert unbounded(body) == []


class _Boundless(BaseModel):
    text: str
    bounded: Annotated[str, StringConstraints(max_length=3)] | None
    pattern: Annotated[str, StringConstraints(pattern="^a+$")]
    number: int
    positive: float = Field(ge=0)
    fine: int = Field(ge=0, le=1)
    texts: list[str] = Field(max_length=3)
    numbers: list[Annotated[int, Field(ge=0, le=1)]]
    mapping: dict[str, bool]
    keys: dict[Annotated[str, StringConstraints(max_length=3)], object] = Field(max_length=3)


def test_whatever_has_no_bound_is_found() -> None:
    assert unbounded(_Boundless) == [
        "keys{}: anything at all",
        "mapping: a mapping of any size",
        "mapping{}: a key of any length",
        "number: a number without maximum",
        "number: a number without minimum",
        "numbers: a list of any length",
        "pattern: a text of any length",
        "positive: a number without maximum",
        "text: a text of any length",
        "texts[]: a text of any length",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        {"queues": [f"q{n}" for n in range(20_000)]},
        {"labels": {f"l{n}": "" for n in range(20_000)}},
        {"capacity": {f"c{n}": 1 for n in range(20_000)}},
        {"labels": {"x" * 129: ""}},
    ],
)
def test_a_host_cannot_announce_without_end(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Settings).validate_python(settings)
    assert caught.value.error_count() == 1


def test_a_chunk_fits_its_frame() -> None:
    assert limits.MAX_PAYLOAD + HEADER_SIZE <= limits.MAX_CHUNK_FRAME


def test_a_window_holds_several_chunks() -> None:
    assert limits.WINDOW >= 4 * limits.MAX_PAYLOAD


def test_the_largest_job_fits_an_offer() -> None:
    # Base64 makes four bytes of three; an offer holds the job and little more.
    encoded = limits.MAX_FILES_SIZE * 4 // 3
    job = encoded + limits.MAX_SCRIPT_SIZE + limits.MAX_ENV_SIZE
    assert job < limits.MAX_JOB_BODY < limits.MAX_SERVER_MESSAGE


def test_the_subprotocol_is_named_for_the_first_version() -> None:
    assert f"remote-agent.v{limits.PROTOCOL_VERSION}" == limits.SUBPROTOCOL
