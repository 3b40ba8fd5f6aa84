"""What can be said about a recipe without DataHub: whether it is one, of what kind its ends are,
which passwords stand in it. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from remote_protocol.printable import printable

MAX_RECIPE: Final = 256 * 1024
"""Characters of a recipe."""
MAX_YAML: Final = 64 * 1024
"""Characters of a recipe in YAML: to read more takes too long for a program that has other things
to do. JSON is read in no time."""
DEFAULT_SINK: Final = "datahub-rest"
_PLAIN: Final = frozenset({"blackhole", "console", "demo-data", "file"})
"""Kinds of sources and sinks that every installation of DataHub has."""
_PLUGIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_SECRET: Final = re.compile(
    r"passw(?:or)?d|passphrase|secret|token|api_?key|private_?key|access_?key(?!_?id)|credential",
    re.IGNORECASE,
)
_NO_SECRET: Final = re.compile(r"(?:_?(?:path|file|name|id|url|uri|type))$", re.IGNORECASE)
_IN_URL: Final = re.compile(r"://[^/\s:@$]+:[^/\s@$]+@")
_MOST_NODES: Final = 20_000
_LONGEST: Final = 300


class RecipeError(ValueError):
    """It is no recipe; the text is a sentence without the recipe's values."""


class Recipe(NamedTuple):
    """A recipe, as far as it is known here."""

    source: str
    """Kind of its source, as `mysql`."""
    sink: str
    """Kind of its sink."""
    names_sink: bool
    content: dict[str, Any]


def parse(text: str) -> Recipe:
    """The recipe in a text. RecipeError."""
    content = _content(text)
    if not isinstance(content, dict):
        raise RecipeError(
            f"the recipe is {_kind_words(content)}, not a mapping with the keys source and sink"
        )
    source, sink = content.get("source"), content.get("sink")
    if source is None:
        raise RecipeError(
            "the recipe has no source; it begins with source:, which has a type, as mysql, and a "
            "config"
        )
    return Recipe(
        _type_of(source, "source"),
        DEFAULT_SINK if sink is None else _type_of(sink, "sink"),
        sink is not None,
        content,
    )


def plugins_of(recipe: Recipe) -> list[str]:
    """The extras of acryl-datahub that a recipe needs."""
    found = {recipe.source, recipe.sink} - _PLAIN
    return sorted(name.replace("_", "-") for name in found if _PLUGIN.fullmatch(name))


def line_of(text: str, task: str) -> str:
    """What a job runs, as one line for lists."""
    try:
        recipe = parse(text)
    except RecipeError:
        return "DataHub recipe"
    if task == "TEST_CONNECTION":
        return f"DataHub: try {recipe.source}"
    return f"DataHub: {recipe.source} to {recipe.sink}"


def passwords(recipe: Recipe) -> list[str]:
    """The keys under which values stand that look like secrets, as `source.config.password`."""
    found = []
    for key, value in _texts(recipe.content):
        name = key.rpartition(".")[2]
        if "$" in value or not value:
            continue
        if (_SECRET.search(name) and not _NO_SECRET.search(name)) or _IN_URL.search(value):
            found.append(key)
    return found


def _content(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except ValueError:
            pass  # a mapping of YAML may begin so, too
        except RecursionError:
            raise RecipeError("the recipe is nested too deeply") from None
    if len(text) > MAX_YAML:
        raise RecipeError(
            f"the recipe has {len(text):,} characters of YAML, at most {MAX_YAML:,} are read; "
            "give it as JSON"
        )
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        raise RecipeError(f"the recipe is not YAML: {_yaml_words(error)}") from None
    except Exception:
        # It raises much more: a text that says of itself that it is a truth value, for example, is
        # looked up as one. Whatever somebody has written must not spoil the page that lists it.
        raise RecipeError("the recipe is not YAML that a recipe can be") from None


def _yaml_words(error: Any) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is broken"
    mark = getattr(error, "problem_mark", None)
    where = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
    return printable(f"{where}{problem}")[:_LONGEST]


def _kind_words(content: object) -> str:
    if content is None:
        return "empty"
    return "a list" if isinstance(content, list) else "a single value"


def _type_of(end: object, name: str) -> str:
    kind = end.get("type") if isinstance(end, dict) else None
    if not isinstance(kind, str) or not kind:
        example = "type: mysql" if name == "source" else "type: datahub-rest"
        raise RecipeError(f"the recipe's {name} has no type; write, below {name}:, {example}")
    return printable(kind[:_LONGEST])


def _texts(content: Any) -> Iterator[tuple[str, str]]:
    """Every text in it, with the keys that lead there; each part once, however often it occurs."""
    waiting: list[tuple[str, Any]] = [("", content)]
    seen: set[int] = set()
    nodes = 0
    while waiting and nodes < _MOST_NODES:
        key, value = waiting.pop()
        nodes += 1
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            below = [(f"{key}.{name}" if key else str(name), part) for name, part in parts]
            waiting += reversed(below)
