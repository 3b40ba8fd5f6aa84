"""HTTP bodies: clients may not misspell, servers may add fields, secrets stay out of views."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from remote_protocol.api.bodies import Body, Page, View
from remote_protocol.api.jobs import JobView
from remote_protocol.api.server import VersionView
from remote_protocol.ids import Name
from remote_protocol.spec import CommandSpec
from tests.support.api_models import API_MODULES

BODIES = [body for body in Body.__subclasses__() if body.__module__ in API_MODULES]
VIEWS = [view for view in View.__subclasses__() if view.__module__ in API_MODULES]


@pytest.mark.parametrize("body", BODIES)
def test_an_unknown_field_of_a_client_is_a_mistake(body: type[Body]) -> None:
    with pytest.raises(ValidationError, match="no_such_field"):
        body.model_validate({"no_such_field": 1})


@pytest.mark.parametrize("body", [*BODIES, CommandSpec])
def test_no_text_of_a_client_has_a_nul(body: type[Body | CommandSpec]) -> None:
    # What a part of another model does not know is ignored, and kept nowhere.
    for field in body.model_fields.keys() - {"platform", "settings"}:
        for value in ("a\0", ["a\0"], {"a\0": "b"}, {"a": "b\0"}):
            with pytest.raises(ValidationError) as refused:
                body.model_validate({field: value})
            assert field in {fault["loc"][0] for fault in refused.value.errors() if fault["loc"]}


@pytest.mark.parametrize("view", [*VIEWS, JobView])
def test_an_unknown_field_of_a_server_is_ignored(view: type[View]) -> None:
    assert view.model_config["extra"] == "ignore"
    assert view.model_config["frozen"] is True


def test_a_page_holds_its_items() -> None:
    page = Page[VersionView].model_validate({"items": [{"version": "1", "protocol": 1}]})
    assert page.items[0].api == "v1"
    assert page.next_cursor is None


class Sent(Body):
    name: Name


class Shown(View):
    name: str


def test_unknown_fields_are_mistakes_only_for_the_server() -> None:
    with pytest.raises(ValidationError, match="mood"):
        Sent.model_validate({"name": "a", "mood": "bad"})
    assert Shown.model_validate({"name": "a", "mood": "bad"}) == Shown(name="a")


@pytest.mark.parametrize("model", [Sent(name="a"), Shown(name="a")])
def test_they_are_not_changed(model: Sent | Shown) -> None:
    with pytest.raises(ValidationError):
        model.name = "b"
