"""The OpenAPI document as people read it: calls by subject, their fields in rows. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Node = Mapping[str, Any]
_DEEPEST: Final = 3
"""Levels of objects within objects that are shown; a deeper one is named only."""
_REF: Final = "$ref"
_NOTHING: Final[Node] = {}


@dataclass(frozen=True, slots=True)
class Field:
    """One row: a parameter, or a field of a body."""

    name: str
    kind: str
    """What it is, as `integer, 1 to 1000` or `list of AgentView`."""
    words: str
    required: bool
    level: int = 0
    """How many objects it is in."""
    place: str = ""
    """Of a parameter: `path`, `query` or `header`."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back with one status."""

    status: str
    words: str
    media: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One call."""

    id: str
    method: str
    path: str
    tag: str
    summary: str
    words: tuple[str, ...]
    """Paragraphs."""
    role: str
    """The least role; empty where none counts."""
    parameters: tuple[Field, ...]
    body: tuple[Field, ...]
    takes: str
    """Media type of the body; empty: none."""
    optional: bool
    """Whether the body may be left out."""
    example: str
    """A body, as JSON; empty: none."""
    answers: tuple[Answer, ...]
    gives: tuple[Field, ...]
    """The fields of a success."""

    def has(self, words: list[str]) -> bool:
        """Whether all of these words, in small letters, are in what is said of it."""
        fields = (*self.parameters, *self.body, *self.gives)
        parts = [self.id, self.method, self.path, self.summary, *self.words]
        text = " ".join([*parts, *(field.name for field in fields)]).lower()
        return all(word in text for word in words)


@dataclass(frozen=True, slots=True)
class Reference:
    """The whole API."""

    words: tuple[str, ...]
    tags: dict[str, str]
    operations: tuple[Operation, ...]

    def find(self, words: str) -> list[tuple[str, str, list[Operation]]]:
        """The calls that have all these words, by tag with its description."""
        wanted = words.lower().split()
        found = [one for one in self.operations if one.has(wanted)]
        groups = [
            (tag, said, [o for o in found if o.tag == tag]) for tag, said in self.tags.items()
        ]
        return [group for group in groups if group[2]]

    def operation(self, name: str) -> Operation | None:
        """The call of this name."""
        return next((one for one in self.operations if one.id == name), None)


def read(document: bytes) -> Reference:
    """Read the document that `document.document` makes."""
    whole: dict[str, Any] = json.loads(document)
    schemas = _Schemas(whole["components"]["schemas"])
    operations = [
        _operation(whole, schemas, method, path, one)
        for path, methods in whole["paths"].items()
        for method, one in methods.items()
    ]
    return Reference(
        tuple(whole["info"]["description"].split("\n\n")),
        {tag["name"]: tag.get("description", "") for tag in whole["tags"]},
        tuple(operations),
    )


def _operation(whole: Node, schemas: _Schemas, method: str, path: str, one: Node) -> Operation:
    bodies = one.get("requestBody", _NOTHING).get("content", _NOTHING)
    takes, content = next(iter(bodies.items()), ("", _NOTHING))
    example = content.get("example")
    answers = [(status, _shared(whole, answer)) for status, answer in one["responses"].items()]
    success: Node = next((answer for status, answer in answers if status < "300"), _NOTHING)
    return Operation(
        id=one["operationId"],
        method=method.upper(),
        path=path,
        tag=one["tags"][0],
        summary=one["summary"],
        words=tuple(filter(None, one.get("description", "").split("\n\n"))),
        role=one.get("x-required-role", ""),
        parameters=tuple(schemas.parameter(each) for each in one.get("parameters", ())),
        body=tuple(schemas.fields(content.get("schema", {}))),
        takes=takes,
        optional=bool(takes) and not one["requestBody"].get("required", False),
        example="" if example is None else json.dumps(example, ensure_ascii=False, indent=2),
        answers=tuple(_answer(status, answer) for status, answer in answers),
        gives=tuple(schemas.fields(_json_of(success))),
    )


def _json_of(answer: Node) -> Node:
    """The schema of an answer in JSON."""
    media: Node = answer.get("content", {}).get("application/json", {})
    schema: Node = media.get("schema", {})
    return schema


def _shared(whole: Node, answer: Node) -> Node:
    if _REF not in answer:
        return answer
    shared: Node = whole["components"]["responses"][_last(answer[_REF])]
    return shared


def _answer(status: str, answer: Node) -> Answer:
    headers = answer.get("headers", {})
    return Answer(
        status,
        answer["description"],
        tuple(answer.get("content", ())),
        tuple((name, header["description"]) for name, header in headers.items()),
    )


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]


class _Schemas:
    """The models of the document."""

    def __init__(self, known: Node) -> None:
        self._known = known

    def parameter(self, one: Node) -> Field:
        """A parameter's row."""
        said = one.get("description", "")
        return Field(one["name"], self.kind(one["schema"]), said, one["required"], place=one["in"])

    def fields(self, schema: Node, level: int = 0) -> Iterator[Field]:
        """The rows of an object, each followed by those of the objects in it."""
        found = self._object(schema)
        required = found.get("required", ())
        for name, field in found.get("properties", {}).items():
            said = field.get("description", "")
            yield Field(name, self.kind(field), said, name in required, level)
            if level < _DEEPEST:
                yield from self.fields(_inner(field), level + 1)

    def _object(self, schema: Node) -> Node:
        while _REF in schema or "oneOf" in schema:
            schema = self._known[_last(schema[_REF])] if _REF in schema else schema["oneOf"][0]
        return schema

    def kind(self, schema: Node) -> str:
        """What a value is, in words."""
        if _REF in schema:
            name = _last(schema[_REF])
            target: Node = self._known.get(name, {})
            return self.kind(target) if "enum" in target else name.removesuffix("-Input")
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return " or ".join(dict.fromkeys(self.kind(choice) for choice in choices))
        if "const" in schema:
            return f"`{schema['const']}`"
        if "enum" in schema:
            return " | ".join(f"`{value}`" for value in schema["enum"])
        kind = str(schema.get("type", "anything"))
        if kind == "array":
            return f"list of {self.kind(schema.get('items', {}))}{_bounds(schema, 'Items')}"
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            return f"object of {self.kind(schema['additionalProperties'])}"
        if kind == "string" and "format" in schema:
            return _FORMATS.get(schema["format"], kind)
        return f"{kind}{_bounds(schema, 'Length')}{_range(schema)}"


_FORMATS: Final = {"date-time": "time", "binary": "bytes"}


def _inner(field: Node) -> Node:
    """The schema in which a field's own fields may be: its own, or that of its items."""
    if field.get("type") == "array":
        return _inner(field.get("items", {}))
    if isinstance(field.get("additionalProperties"), dict):
        return _inner(field["additionalProperties"])
    if "anyOf" in field:
        return next((_inner(one) for one in field["anyOf"] if one.get("type") != "null"), _NOTHING)
    return field


def _bounds(schema: Node, what: str) -> str:
    least, most = schema.get(f"min{what}"), schema.get(f"max{what}")
    unit = "characters" if what == "Length" else "of them"
    if least and most:
        return f", {least} to {most:,} {unit}" if least != most else f", {most:,} {unit}"
    return f", at most {most:,} {unit}" if most else f", at least {least} {unit}" if least else ""


def _range(schema: Node) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f", {_plain(low)} to {_plain(high)}"
    said = (f", {words} {_plain(schema[key])}" for key, words in _LIMITS.items() if key in schema)
    return "".join(said)


_LIMITS: Final = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


def _plain(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:g}"
