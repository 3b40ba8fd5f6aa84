"""The OpenAPI 3.1 document, made from the route table and the pydantic models."""

from __future__ import annotations

import re
from collections.abc import Sequence
from inspect import getdoc
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from remote_protocol.api.bodies import Page
from remote_protocol.api.problems import Problem
from remote_server.web.openapi.answers import problems, refusals, responses
from remote_server.web.openapi.schemas import Schemas, one_line
from remote_server.web.route import JSON, Query, Route

PATH: Final = "/api/v1/openapi.json"
_BASE: Final = "/api/v1"
_ABOVE: Final = "../.."
"""From the document's own address to the root of the paths in it, under any path of a proxy."""
_PARAMETER: Final = re.compile(r"\{(\w+)(?::[^}]*)?\}")
_REF: Final = "#/components/schemas/{model}"
_ABOUT: Final = """Jobs, their logs, and the agents that run them.

Send an API token as `Authorization: Bearer rpt_…`. Errors are RFC 9457 problem details with a
stable `code`. Durations in bodies are seconds or texts like `1h30m`, sizes bytes or texts like
`512MiB`; answers have numbers. Times are RFC 3339 in UTC. Unknown fields and parameters are
refused, and named. Lists give `next_cursor`: send it as `cursor` for the next page."""
_TAGS: Final = {
    "jobs": "Submit jobs, watch them, read their logs, cancel and retry them",
    "events": "Every change of a job's state, numbered and resumable",
    "agents": "The hosts that run jobs: pause, drain, restart, change, delete",
    "queues": "Where jobs wait: create, change, pause",
    "tokens": "API tokens, registration tokens, tokens of single agents",
    "webhooks": "What is told to other programs, and what came of it",
    "audit": "Who did what to what, from where, with what result",
    "server": "What this server is, and how it is",
    "agent": "What agents themselves call",
}
_SAME: Final = {"registration-tokens": "tokens", "whoami": "tokens"} | dict.fromkeys(
    ("healthz", "readyz", "metrics", "telemetry", "version", "openapi.json"), "server"
)
"""First parts of paths that belong to a tag of another name."""
_PARAMETERS: Final = {
    "id": "Its id",
    "name": "Its name",
    "Idempotency-Key": "Any text of up to 255 characters: the same call with the same key makes "
    "no second job",
    "attempt": "An attempt: `JOB.NUMBER`",
    "Relayed-Method": "Method of the job's request; its headers have the prefix `Relayed-`, too",
    "Relayed-Target": "Path and query of the job's request",
    "Last-Event-ID": "Number of the last event seen, as browsers send it to resume",
}
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
    found, schemas = models_json_schema(list(wanted), ref_template=_REF, schema_generator=Schemas)
    refs: _Refs = {wish: found[wish] for wish in wanted}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = _PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = _operation(route, refs)
    used = {_tag(route.path) for route in routes}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "remote-server",
            "version": version,
            "description": one_line(_ABOUT),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": _ABOVE, "description": "This server"}],
        "tags": [{"name": tag, "description": words} for tag, words in _TAGS.items() if tag in used]
        + [{"name": tag} for tag in sorted(used - _TAGS.keys())],
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`rpt_` API token, `rat_` agent token, `rrt_` registration "
                    "token; each operation says which it takes",
                }
            },
            "responses": problems(refs[Problem, "serialization"]),
        },
    }


def _operation(route: Route, refs: _Refs) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        _parameter(name, "path", required=True) for name in _PARAMETER.findall(route.path)
    ]
    if route.query:
        parameters += _query_parameters(route.query)
    parameters += [_parameter(name, "header") for name in route.headers]
    answer = refs[route.answer, "serialization"] if route.answer else {}
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [_tag(route.path)],
        "responses": responses(route, answer),
        "security": _security(route),
    }
    if words := _description(route):
        operation["description"] = words
    if route.access.role:
        operation["x-required-role"] = route.access.role
    if parameters:
        operation["parameters"] = parameters
    if route.body or route.takes:
        operation["requestBody"] = _body(route, refs)
    return operation


def _parameter(name: str, place: str, required: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": required,
        "description": _PARAMETERS.get(name, ""),
        "schema": {"type": "string"},
    }


def _description(route: Route) -> str:
    """What the handler says after its summary, and whom the call is for."""
    rest = (getdoc(route.handler) or "").partition("\n\n")[2]
    said = [one_line(rest)] if rest else []
    if route.access.kinds:
        role = f", role {route.access.role} or higher" if route.access.role else ""
        said.append(f"Needs: {route.access.words}{role}.")
    return "\n\n".join(said)


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.access.kinds:
        return [{"token": []}]
    # What anybody may call may still ask for a token, by the server's settings.
    asks = any(code.endswith("_token") for code in refusals(route))
    return [{}, {"token": []}] if asks else []


def _body(route: Route, refs: _Refs) -> dict[str, Any]:
    media, content = route.takes, {"schema": {"type": "string", "format": "binary"}}
    if route.body:
        media, content = JSON, {"schema": refs[route.body, "validation"]}
    if route.example is not None:
        content["example"] = dict(route.example)
    return {"required": not route.body_optional, "content": {media: content}}


def _query_parameters(query: type[Query]) -> list[dict[str, Any]]:
    schema = query.model_json_schema(schema_generator=Schemas)
    definitions = schema.get("$defs", {})
    found = []
    for name, field in schema.get("properties", {}).items():
        inlined = _inline(field, definitions)
        parameter = {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": inlined.pop("description", ""),
            "schema": inlined,
        }
        if field.get("type") == "array":
            parameter |= {"style": "form", "explode": name in query.whole}
        found.append(parameter)
    return found


def _inline(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, dict):
        if "$ref" in schema:
            beside = {key: value for key, value in schema.items() if key != "$ref"}
            return _inline(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions) | beside
        return {key: _inline(value, definitions) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_inline(item, definitions) for item in schema]
    return schema


def operation_id(route: Route) -> str:
    """The name of a call in generated clients, as `list_agents`, `cancel_job`."""
    if route.operation:
        return route.operation
    names = re.sub("[-.]", "_", route.path.removeprefix(_BASE)).strip("/").split("/")
    *owners, last = [name for name in names if not name.startswith("{")]
    one = names[-1].startswith("{") or (route.method == "POST" and not owners)
    verb, rest = _VERBS[route.method], _singular(last) if one else last
    if route.method == "GET" and not one and _is_page(route.answer):
        verb = "list"
    elif route.method == "POST" and owners:
        # The last part of the path is what is done: `/agents/{name}/rotate-token`.
        verb, _, rest = last.partition("_")
    return "_".join([verb, *map(_singular, owners), *([rest] if rest else [])])


_VERBS: Final = {
    "GET": "get",
    "POST": "create",
    "PUT": "set",
    "PATCH": "change",
    "DELETE": "delete",
}


def _is_page(model: type[BaseModel] | None) -> bool:
    return model is not None and issubclass(model, Page)


def _singular(noun: str) -> str:
    return f"{noun[:-3]}y" if noun.endswith("ies") else noun.removesuffix("s")


def _tag(path: str) -> str:
    first = path.removeprefix(_BASE).strip("/").split("/")[0]
    return _SAME.get(first, first)
