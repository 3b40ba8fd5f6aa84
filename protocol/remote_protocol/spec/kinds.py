"""One type for documents of several kinds: the field `kind` says which model is validated. Pure.

A document without `kind` is of the default kind. What is validated is an instance of the kind's own
model, and faults are named as that model names them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic_core import (
    CoreSchema,
    InitErrorDetails,
    PydanticCustomError,
    ValidationError,
    core_schema,
)

DEFAULT_KIND: Final = "command"
Kinds = dict[str, type[BaseModel]]
_SHOWN: Final = 40
"""Characters of an unknown kind that an error repeats."""


def by_kind(
    base: type[BaseModel],
    kinds: Mapping[str, type[BaseModel]],
    model_of: Callable[[type[BaseModel]], type[BaseModel]] = lambda kind: kind,
) -> CoreSchema:
    """The schema of `base`, which gives each document to the model of its kind. `model_of` makes
    that of the kind's registered one."""

    def validate(value: Any) -> BaseModel:
        if isinstance(value, base):
            return value
        kind = value.get("kind", DEFAULT_KIND) if isinstance(value, dict) else DEFAULT_KIND
        model = kinds.get(kind) if isinstance(kind, str) else None
        if model is None:
            raise _unknown(base, kind, kinds)
        validator = model_of(model).__pydantic_validator__
        found: BaseModel = validator.validate_python(value)
        return found

    def describe(_: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        models = {kind: model_of(model) for kind, model in kinds.items()}
        choices = {kind: model.__pydantic_core_schema__ for kind, model in models.items()}
        return handler(core_schema.tagged_union_schema(choices, discriminator="kind"))

    return core_schema.no_info_plain_validator_function(
        validate,
        ref=f"{base.__module__}.{base.__qualname__}:{id(base)}",
        metadata={"pydantic_js_functions": [describe]},
    )


def _unknown(base: type[BaseModel], kind: object, kinds: Mapping[str, object]) -> ValidationError:
    shown = repr(kind)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    known = ", ".join(sorted(kinds))
    text = f"jobs of kind {shown} are not supported by this version; known kinds: {known}"
    # Braces are placeholders in a message of pydantic's.
    error = PydanticCustomError("unknown_kind", "{text}", {"text": text})
    fault = InitErrorDetails(type=error, loc=("kind",), input=kind)
    return ValidationError.from_exception_data(base.__name__, [fault])
