"""The OpenAPI document is valid and describes every call; its references lead somewhere."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from remote_protocol.api.jobs import view_of
from remote_protocol.spec import CommandSpec, JobSpec
from remote_server.web.application import ROUTES, description
from remote_server.web.openapi.document import operation_id
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


def test_it_is_valid_openapi_3_1() -> None:
    validate(DOCUMENT, cls=OpenAPIV31SpecValidator)


def test_a_document_with_a_fault_is_not() -> None:
    spoiled = copy.deepcopy(DOCUMENT)
    del spoiled["paths"]["/api/v1/jobs"]["post"]["responses"]["201"]["description"]
    assert list(OpenAPIV31SpecValidator(spoiled).iter_errors())


def test_its_frame() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    assert DOCUMENT["info"]["title"] == "remote-server"
    assert re.fullmatch(r"\d+\.\d+\.\d+", DOCUMENT["info"]["version"])


@pytest.mark.parametrize("route", CALLS, ids=lambda route: f"{route.method} {route.path}")
def test_every_call_is_described(route: Any) -> None:
    operation = DOCUMENT["paths"][re.sub(":[^}]*", "", route.path)][route.method.lower()]
    assert operation["summary"]
    success = operation["responses"][str(route.status)]
    assert success["description"]
    if route.answer:
        assert "$ref" in success["content"]["application/json"]["schema"]
    if route.body:
        assert "$ref" in operation["requestBody"]["content"]["application/json"]["schema"]
    refused = {status: one for status, one in operation["responses"].items() if status >= "400"}
    assert refused.keys() >= {"400", "500", "503"}
    assert {"401", "403"}.isdisjoint(refused) is not bool(operation["security"])
    for status, one in refused.items():
        assert one == {"$ref": f"#/components/responses/Problem{status}"}
    if route.access.kinds:
        assert operation["security"] == [{"token": []}]
        assert operation.get("x-required-role") == route.access.role
    for parameter in operation.get("parameters", []):
        assert parameter["schema"]
    named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
    assert named == set(re.findall(r"\{(\w+)", route.path))
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


def test_every_call_belongs_to_a_described_tag() -> None:
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    found = {
        tag for path in DOCUMENT["paths"].values() for op in path.values() for tag in op["tags"]
    }
    assert found == tags


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("get", "/api/v1/agents", "list_agents"),
        ("get", "/api/v1/agents/{name}", "get_agent"),
        ("patch", "/api/v1/agents/{name}", "change_agent"),
        ("delete", "/api/v1/agents/{name}", "delete_agent"),
        ("post", "/api/v1/agents/{name}/rotate-token", "rotate_agent_token"),
        ("post", "/api/v1/jobs", "submit_job"),
        ("get", "/api/v1/jobs", "list_jobs"),
        ("get", "/api/v1/jobs/{id}", "get_job"),
        ("post", "/api/v1/jobs/{id}/cancel", "cancel_job"),
        ("get", "/api/v1/jobs/{id}/log/lines", "get_job_log_lines"),
        ("post", "/api/v1/registration-tokens", "create_registration_token"),
        ("get", "/api/v1/webhooks/{name}/deliveries", "list_webhook_deliveries"),
        ("get", "/api/v1/webhooks/{name}/deliveries/{id}", "get_webhook_delivery"),
        ("post", "/api/v1/webhooks/{name}/deliveries/{id}/replay", "replay_webhook_delivery"),
    ],
)
def test_names_of_calls_are_those_that_clients_were_generated_with(
    method: str, path: str, name: str
) -> None:
    assert DOCUMENT["paths"][path][method]["operationId"] == name


def test_names_of_calls_are_words() -> None:
    for route in CALLS:
        assert re.fullmatch("[a-z]+(_[a-z]+)+", operation_id(route)), route.path


@pytest.mark.parametrize(
    "route",
    [route for route in CALLS if route.example is not None],
    ids=lambda route: f"{route.method} {route.path}",
)
def test_examples_are_what_the_call_takes(route: Any) -> None:
    route.body.model_validate_json(json.dumps(route.example))
    body = DOCUMENT["paths"][route.path][route.method.lower()]["requestBody"]
    assert body["content"]["application/json"]["example"] == route.example


def test_a_call_for_whom_it_concerns_asks_for_a_token_by_the_settings() -> None:
    assert DOCUMENT["paths"]["/metrics"]["get"]["security"] == [{}, {"token": []}]
    assert DOCUMENT["paths"]["/healthz"]["get"]["security"] == []


def test_schemas_are_those_of_the_models() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    assert set(schemas["CommandJobView"]["properties"]) == set(view_of(CommandSpec).model_fields)
    assert schemas["CommandSpec"]["additionalProperties"] is False
    for name, ending in (("JobSpec", "Spec"), ("JobView", "JobView")):
        mapping = {kind: f"#/components/schemas/{kind.title()}{ending}" for kind in JobSpec.kinds}
        assert schemas[name] == {
            "discriminator": {"mapping": mapping, "propertyName": "kind"},
            "oneOf": [{"$ref": found} for found in mapping.values()],
        }
    assert set(schemas["Problem"]["required"]) >= {"title", "status", "code"}


async def test_it_is_served_without_a_token(live: Live) -> None:
    answer = await live.get("/openapi.json", token="")
    assert answer.status == 200
    assert answer.body == DOCUMENT
