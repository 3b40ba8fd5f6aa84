"""Finds what a model lets in without a bound: texts, numbers, lists and mappings of any size.

Works on the JSON schema of a type, so that a bound counts however it was written down.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

_ENDLESS = re.compile(r"(?<!\\)(?:[*+]|\{\d*,\})")


def unbounded(kind: Any) -> list[str]:
    """A sentence for each place of a model, or of any other type, that has no bound."""
    schema = TypeAdapter(kind).json_schema(mode="validation")
    return sorted(set(_Walk(schema.get("$defs", {})).look(schema, "")))


class _Walk:
    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known
        self._seen: set[str] = set()

    def look(self, schema: Mapping[str, Any], place: str) -> Iterator[str]:
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            if name not in self._seen:
                self._seen.add(name)
                yield from self.look(self._known[name], name)
            return
        branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
        for branch in branches:
            # A bound beside the branches holds for each of them.
            outer = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf", "allOf")}
            yield from self.look({**outer, **branch}, place)
        if branches or "enum" in schema or "const" in schema:
            return
        yield from self._plain(schema, place)

    def _plain(self, schema: Mapping[str, Any], place: str) -> Iterator[str]:
        match schema.get("type"):
            case "boolean" | "null":
                return
            case "string":
                pattern = schema.get("pattern")
                if "maxLength" not in schema and (pattern is None or _ENDLESS.search(pattern)):
                    yield f"{place}: a text of any length"
            case "integer" | "number":
                for bound in ("minimum", "maximum"):
                    exclusive = "exclusive" + bound.capitalize()
                    if bound not in schema and exclusive not in schema:
                        yield f"{place}: a number without {bound}"
            case "array":
                if "maxItems" not in schema:
                    yield f"{place}: a list of any length"
                yield from self.look(schema.get("items", {}), f"{place}[]")
            case "object":
                yield from self._object(schema, place)
            case _:
                yield f"{place}: anything at all"

    def _object(self, schema: Mapping[str, Any], place: str) -> Iterator[str]:
        fields = schema.get("properties")
        if fields is not None:
            for name, field in fields.items():
                yield from self.look(field, f"{place}.{name}" if place else name)
            return
        if "maxProperties" not in schema:
            yield f"{place}: a mapping of any size"
        for pattern, values in schema.get("patternProperties", {}).items():
            if _ENDLESS.search(pattern):
                yield f"{place}{{}}: a key of any length"
            yield from self.look(values, f"{place}{{}}")
        if "additionalProperties" in schema:
            keys = schema.get("propertyNames", {})
            if "maxLength" not in keys and "enum" not in keys:
                yield f"{place}{{}}: a key of any length"
            values = schema["additionalProperties"]
            yield from self.look(values if isinstance(values, dict) else {}, f"{place}{{}}")
