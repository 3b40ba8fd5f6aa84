"""The OpenAPI document describes every call, and every reference in it leads somewhere."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from remote_protocol.api.jobs import view_of
from remote_protocol.spec import CommandSpec
from remote_server.web.application import ROUTES, description
from tests.support.live_server import Live

DOCUMENT: dict[str, Any] = json.loads(description())
CALLS = [route for route in ROUTES if not route.page]


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        found = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return found + [ref for value in node.values() for ref in references(value)]
    if isinstance(node, list):
        return [ref for item in node for ref in references(item)]
    return []


def test_pages_are_no_part_of_it() -> None:
    assert CALLS and len(CALLS) < len(ROUTES)
    assert not [path for path in DOCUMENT["paths"] if path in ("/", "/login", "/queues/{name}")]


def test_its_frame() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["title"] == "remote-server"
    assert re.fullmatch(r"\d+\.\d+\.\d+", DOCUMENT["info"]["version"])


@pytest.mark.parametrize("route", CALLS, ids=lambda route: f"{route.method} {route.path}")
def test_every_call_is_described(route: Any) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert operation["summary"]
    success = operation["responses"][str(route.status)]
    assert success["description"]
    if route.answer:
        assert "$ref" in success["content"]["application/json"]["schema"]
    if route.body:
        assert "$ref" in operation["requestBody"]["content"]["application/json"]["schema"]
    assert operation["responses"]["default"]["$ref"] == "#/components/responses/Problem"
    assert bool(operation["security"]) is bool(route.access.kinds)
    named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
    assert named == set(re.findall(r"\{(\w+)\}", route.path))
    queried = {p["name"] for p in operation.get("parameters", []) if p["in"] == "query"}
    assert queried == (set(route.query.model_fields) if route.query else set())


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert len(found) > 50
    for reference in found:
        node = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]
        assert node


def test_operation_ids_are_unique() -> None:
    ids = [op["operationId"] for path in DOCUMENT["paths"].values() for op in path.values()]
    assert len(ids) == len(set(ids)) == len(CALLS)


def test_schemas_are_those_of_the_models() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["CommandJobView"]["properties"]) == set(view_of(CommandSpec).model_fields)
    assert schemas["CommandSpec"]["additionalProperties"] is False
    for name, model in (("JobSpec", "CommandSpec"), ("JobView", "CommandJobView")):
        ref = f"#/components/schemas/{model}"
        assert schemas[name]["oneOf"] == [{"$ref": ref}]
        assert schemas[name]["discriminator"] == {
            "propertyName": "kind", "mapping": {"command": ref}
        }  # fmt: skip
    assert set(schemas["Problem"]["required"]) >= {"title", "status", "code"}


async def test_it_is_served_without_a_token(live: Live) -> None:
    answer = await live.get("/openapi.json", token="")
    assert answer.status == 200
    assert answer.body == DOCUMENT
