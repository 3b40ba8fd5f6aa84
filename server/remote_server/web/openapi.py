"""The OpenAPI 3.1 document, made from the route table and the pydantic models. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from remote_protocol.api.problems import Problem
from remote_server.web.http.problems import MEDIA
from remote_server.web.route import JSON, Query, Route

PATH: Final = "/api/v1/openapi.json"
_PARAMETER: Final = re.compile(r"\{(\w+)(?::[^}]*)?\}")
_REF: Final = "#/components/schemas/{model}"
_Wanted = tuple[type[BaseModel], JsonSchemaMode]
_Refs = dict[_Wanted, dict[str, Any]]


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The whole document for these routes."""
    wanted: dict[_Wanted, None] = {(Problem, "serialization"): None}
    for route in routes:
        if route.body:
            wanted[route.body, "validation"] = None
        if route.answer:
            wanted[route.answer, "serialization"] = None
    found, schemas = models_json_schema(list(wanted), ref_template=_REF)
    refs: _Refs = {wish: found[wish] for wish in wanted}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "remote-server",
            "version": version,
            "description": "Jobs, their logs, the agents that run them. Errors are RFC 9457 "
            "problem details with a stable `code`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "rpt_ API token, rat_ agent token, rrt_ registration token",
                }
            },
            "responses": {
                "Problem": {
                    "description": "What went wrong, and how to cure it",
                    "content": {MEDIA: {"schema": refs[Problem, "serialization"]}},
                }
            },
        },
    }


def _operation(route: Route, refs: _Refs) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query:
        parameters += _query_parameters(route.query)
    parameters += [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
        for name in route.headers
    ]
    success: dict[str, Any] = {"description": route.summary}
    if route.answer:
        success["content"] = {JSON: {"schema": refs[route.answer, "serialization"]}}
    elif route.media:
        success["content"] = {media: {"schema": {"type": "string"}} for media in route.media}
    operation: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "tags": [_tag(route.path)],
        "responses": {
            str(route.status): success,
            "default": {"$ref": "#/components/responses/Problem"},
        },
        "security": [{"token": []}] if route.access.kinds else [],
    }
    if route.access.kinds:
        role = f", role {route.access.role} or higher" if route.access.role else ""
        operation["description"] = f"Needs: {route.access.words}{role}."
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        operation["requestBody"] = {
            "required": not route.body_optional,
            "content": {JSON: {"schema": refs[route.body, "validation"]}},
        }
    elif route.takes:
        operation["requestBody"] = {
            "required": not route.body_optional,
            "content": {route.takes: {"schema": {"type": "string", "format": "binary"}}},
        }
    return operation


def _query_parameters(query: type[Query]) -> list[dict[str, Any]]:
    schema = query.model_json_schema()
    definitions = schema.get("$defs", {})
    found = []
    for name, field in schema.get("properties", {}).items():
        parameter = {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "schema": _inline(field, definitions),
        }
        if field.get("type") == "array":
            parameter |= {"style": "form", "explode": name in query.whole}
        found.append(parameter)
    return found


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            return _inline(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
        return {key: _inline(value, definitions) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inline(item, definitions) for item in schema]
    return schema


def _operation_id(route: Route) -> str:
    words = [
        word.strip("{}").replace("-", "_").replace(".", "_")
        for word in route.path.removeprefix("/api/v1").split("/")
        if word
    ]
    return "_".join([route.method.lower(), *words]) if words else f"{route.method.lower()}_root"


def _tag(path: str) -> str:
    parts = path.removeprefix("/api/v1").strip("/").split("/")
    return parts[0] or "server"
