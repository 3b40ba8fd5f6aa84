"""Requests for tokens: bounded, narrow unless more is asked for, and never two things at once."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.tokens import RegistrationTokenCreate, TokenCreate, TokenCreated, TokenView
from remote_protocol.ids import Role
from tests.support.bounds import unbounded


def test_a_registration_token_is_narrow_by_default() -> None:
    usual = RegistrationTokenCreate()
    assert (usual.queues, usual.any_queue, usual.allow_replace) == ([], False, False)
    assert (usual.uses, usual.expires, usual.labels) == (1, 3600.0, {})
    assert RegistrationTokenCreate(uses=None).uses is None


@pytest.mark.parametrize(
    ("body", "fields", "words"),
    [
        (RegistrationTokenCreate, {"queues": ["a"], "any_queue": True}, "not both"),
        (RegistrationTokenCreate, {"uses": 0}, "uses"),
        (RegistrationTokenCreate, {"uses": 2**63}, "uses"),
        (RegistrationTokenCreate, {"expires": 0}, "zero is not a limit"),
        (TokenCreate, {"name": "a", "agent": "a", "queues": ["a"], "any_queue": True}, "not both"),
        (TokenCreate, {"name": "a", "role": "admin", "queues": ["a"]}, "does everything"),
        (TokenCreate, {"name": "a", "any_queue": True}, "for the token of an agent"),
        (TokenCreate, {"name": "a", "labels": {"a": "b"}}, "for the token of an agent"),
    ],
)
def test_a_mistake_is_named(
    body: type[TokenCreate | RegistrationTokenCreate], fields: dict[str, object], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        body.model_validate(fields)


@pytest.mark.parametrize("body", [TokenCreate, RegistrationTokenCreate])
def test_they_are_bounded(body: object) -> None:
    assert unbounded(body) == []


def test_a_view_of_a_token_has_no_secret() -> None:
    assert TokenCreated.model_fields.keys() - TokenView.model_fields.keys() == {"token"}


def test_defaults_are_careful() -> None:
    assert TokenCreate(name="x").role is Role.VIEWER
    assert RegistrationTokenCreate().expires == 3600
    with pytest.raises(ValidationError):
        RegistrationTokenCreate(uses=0)


def test_viewers_and_operators_may_be_limited_to_queues() -> None:
    for role in ("viewer", "operator"):
        body = {"name": "a", "role": role, "queues": ["a", "b"]}
        assert TokenCreate.model_validate(body).queues == ["a", "b"]
