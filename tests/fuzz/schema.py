"""Valid values for a JSON schema, as far as the schemas of this project use the language.

The API's own description and the messages' schemas are turned into strategies, so that a new field
is fuzzed as soon as it exists. Objects get only a few of their optional fields: a job with all of
them is never valid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from tests.fuzz.jsontext import Tree

Schema = Mapping[str, Any]
_MOST_ITEMS: Final = 4
_MOST_OPTIONAL: Final = 4


class Schemas:
    """Strategies for schemas that refer to `definitions` by `#/…/NAME`.

    `places` maps names of fields to strategies of their own, for values that must mean something.
    """

    def __init__(
        self, definitions: Mapping[str, Schema], places: Mapping[str, st.SearchStrategy[Tree]]
    ) -> None:
        self._definitions = definitions
        self._places = places

    def values(self, schema: Schema) -> st.SearchStrategy[Tree]:
        """Values that the schema allows."""
        if "$ref" in schema:
            return self.values(self._definitions[schema["$ref"].rsplit("/", 1)[1]])
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"])
        for choice in ("anyOf", "oneOf"):
            if choice in schema:
                return st.one_of([self.values(option) for option in schema[choice]])
        if "allOf" in schema:
            return self.values(schema["allOf"][0])
        match schema.get("type"):
            case "object":
                return self._objects(schema)
            case "array":
                return self._arrays(schema)
            case "string":
                return _texts(schema)
            case "integer":
                return _integers(schema)
            case "number":
                return st.one_of(_numbers(schema), _integers(schema))
            case "boolean":
                return st.booleans()
            case "null":
                return st.none()
            case None:
                # Names of properties, which are texts anyhow, or anything.
                return _texts(schema)
        raise NotImplementedError(f"no values for the schema {schema}")

    def _field(self, name: str, schema: Schema) -> st.SearchStrategy[Tree]:
        place = self._places.get(name)
        return self.values(schema) if place is None else place

    def _objects(self, schema: Schema) -> st.SearchStrategy[Tree]:
        properties: Schema = schema.get("properties", {})
        if not properties:
            extra = schema.get("additionalProperties")
            value = self.values(extra) if isinstance(extra, Mapping) else st.text(max_size=5)
            keys = self.values(schema["propertyNames"]) if "propertyNames" in schema else _KEYS
            return st.dictionaries(keys, value, max_size=_MOST_ITEMS)
        required = [name for name in properties if name in schema.get("required", ())]
        # A message's type has a default, yet without it nothing is a message.
        required += [n for n in properties if n not in required and "const" in properties[n]]
        optional = [name for name in properties if name not in required]

        @st.composite
        def build(draw: st.DrawFn) -> Tree:
            names = list(required)
            if optional:
                some = st.lists(st.sampled_from(optional), max_size=_MOST_OPTIONAL, unique=True)
                names += draw(some)
            return {name: draw(self._field(name, properties[name])) for name in names}

        return build()

    def _arrays(self, schema: Schema) -> st.SearchStrategy[Tree]:
        least = schema.get("minItems", 0)
        most = max(least, min(schema.get("maxItems", _MOST_ITEMS), _MOST_ITEMS))
        return st.lists(self.values(schema.get("items", {})), min_size=least, max_size=most)


_KEYS: Final = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,10}", fullmatch=True)


def _texts(schema: Schema) -> st.SearchStrategy[str]:
    if "pattern" in schema:
        pattern = schema["pattern"].removeprefix("^").removesuffix("$")
        return st.from_regex(pattern, fullmatch=True).filter(lambda text: len(text) < 200)
    if schema.get("format") == "date-time":
        return st.just("2026-11-26T10:00:00Z")
    least = schema.get("minLength", 0)
    most = schema.get("maxLength", 20)
    short = st.text(min_size=least, max_size=max(least, min(most, 20)))
    if most > 4_096:
        return short
    return st.one_of(short, short, st.just("x" * most))


def _bounds(schema: Schema) -> tuple[float, float]:
    least = schema.get("minimum", schema.get("ge", -(2.0**31)))
    most = schema.get("maximum", schema.get("le", 2.0**31))
    if "exclusiveMinimum" in schema:
        least = schema["exclusiveMinimum"] + (1 if schema["type"] == "integer" else 1e-9)
    if "exclusiveMaximum" in schema:
        most = schema["exclusiveMaximum"] - (1 if schema["type"] == "integer" else 1e-9)
    return least, most


def _integers(schema: Schema) -> st.SearchStrategy[int]:
    least, most = _bounds(schema)
    low, high = math.ceil(least), math.floor(most)
    if low > high:
        return st.just(high)
    return st.one_of(st.integers(low, min(high, low + 5)), st.sampled_from((low, high)))


def _numbers(schema: Schema) -> st.SearchStrategy[float]:
    least, most = _bounds(schema)
    return st.floats(least, most, allow_nan=False)
