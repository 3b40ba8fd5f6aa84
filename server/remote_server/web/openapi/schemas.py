"""JSON schemas of the models, with the words that their source has for fields. Reads source files.

Pydantic could collect those words itself, at each start of every program; here they are looked for
once, when somebody wants the description.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema, TaggedUnionSchema

_PAGE = re.compile(r"Page\[(\w+?)(?:View|Entry)?\]")
"""A generic page, which is called like `JobPage`."""


class Schemas(GenerateJsonSchema):
    """Schemas whose fields are described, and have no titles that only repeat their names."""

    def normalize_name(self, name: str) -> str:
        """A model's name as a key of the document."""
        page = _PAGE.fullmatch(name)
        return f"{page[1]}Page" if page else super().normalize_name(name)

    def field_title_should_be_set(self, schema: Any) -> bool:
        """None: a generator of clients would name types after them."""
        return False

    def tagged_union_schema(self, schema: TaggedUnionSchema) -> JsonSchemaValue:
        """One of several kinds; of a single one its own schema: a union of one is no type to
        generators of clients."""
        if len(schema["choices"]) == 1:
            return self.generate_inner(next(iter(schema["choices"].values())))
        return super().tagged_union_schema(schema)

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """The schema of one model."""
        described = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        # Models are known by their keys: of two forms of one model, a generator of clients would
        # make one type twice.
        del described["title"]
        if "description" not in described and (words := _words_of(model)):
            described["description"] = words
        for name, field in described.get("properties", {}).items():
            if "description" not in field and (said := field_words(model).get(name)):
                field["description"] = said
        return described


def _words_of(model: type[BaseModel]) -> str:
    """The docstring of a model that was made at run time: its nearest base's."""
    found = (base.__doc__ or "" for base in model.__mro__ if issubclass(base, BaseModel))
    return one_line(next(filter(None, found), ""))


def one_line(words: str) -> str:
    """A docstring without the line breaks of its source; paragraphs stay."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(words).split("\n\n"))


def field_words(model: type[BaseModel]) -> dict[str, str]:
    """What the source of a model and its bases says about its fields."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, BaseModel) and base is not BaseModel:
            found |= _in_module(base.__module__).get(base.__name__, {})
    return found


@cache
def _in_module(name: str) -> dict[str, dict[str, str]]:
    """By class and field the text that follows a field; nothing where there is no source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[name]))
    except (KeyError, OSError, TypeError):
        return {}
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {found.name: dict(_fields(found)) for found in classes}


def _fields(found: ast.ClassDef) -> list[tuple[str, str]]:
    pairs = zip(found.body, found.body[1:], strict=False)
    return [
        (field.target.id, one_line(words.value.value))
        for field, words in pairs
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(words, ast.Expr)
        and isinstance(words.value, ast.Constant)
        and isinstance(words.value.value, str)
    ]
