"""Tokens by both clients."""

from __future__ import annotations

from typing import Any

from remote_protocol.api.tokens import RegistrationTokenCreate
from remote_protocol.ids import Role
from tests.support.fake_api import ID, NOW, Answer, FakeApi


def test_tokens(api: FakeApi, both: Any) -> None:
    view = {"id": ID, "kind": "api", "name": "ci", "created_at": NOW, "token": "rpt_x"}
    api.on("POST", "/tokens", Answer(view, 201))
    assert both.create_token("ci", Role.OPERATOR, expires=60).token == "rpt_x"
    assert api.calls[0].body == {"name": "ci", "role": "operator", "agent": None, "expires": 60}
    api.on("POST", "/registration-tokens", Answer({**view, "kind": "registration"}, 201))
    both.create_registration_token(RegistrationTokenCreate(queues=["q"], uses=2, expires=None))
    assert api.calls[1].body == {
        "any_queue": False,
        "labels": {},
        "queues": ["q"],
        "allow_replace": False,
        "uses": 2,
        "expires": None,
    }
    api.on("DELETE", f"/registration-tokens/{ID}", Answer(None, 204))
    both.revoke_token(ID, "registration-tokens")


def test_tokens_are_listed(api: FakeApi, both: Any) -> None:
    view = {"id": ID, "kind": "api", "name": "ci", "created_at": NOW}
    api.on("GET", "/tokens", {"items": [view]})
    assert [token.name for token in both.token_page().items] == ["ci"]
