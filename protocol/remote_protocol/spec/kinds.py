"""One type for documents of several kinds: the field `kind` says which model is validated. Pure.

A document without `kind` is of the default kind. What is validated is an instance of the kind's own
model, and faults are named as that model names them. A kind that is not registered may be that of
an extension, which is loaded then.
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

from remote_protocol import extensions

DEFAULT_KIND: Final = "command"
Kinds = Mapping[str, type[BaseModel]]
_SHOWN: Final = 40
"""Characters of an unknown kind that an error repeats."""


def by_kind(
    base: type[BaseModel],
    kinds: Kinds,
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
            model = _of_extension(base, kind, kinds)
        validator = model_of(model).__pydantic_validator__
        found: BaseModel = validator.validate_python(value)
        return found

    def describe(_: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        extensions.load_specs()
        models = {kind: model_of(model) for kind, model in kinds.items()}
        choices = {kind: model.__pydantic_core_schema__ for kind, model in models.items()}
        return handler(core_schema.tagged_union_schema(choices, discriminator="kind"))

    return core_schema.no_info_plain_validator_function(
        validate,
        ref=f"{base.__module__}.{base.__qualname__}:{id(base)}",
        metadata={"pydantic_js_functions": [describe]},
    )


def _of_extension(base: type[BaseModel], kind: Any, kinds: Kinds) -> type[BaseModel]:
    """The model that an extension registers for a kind. ValidationError when there is none."""
    shown = repr(kind)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    known = ", ".join(sorted({*kinds, *extensions.names()}))
    text = f"jobs of kind {shown} are not supported by this version; known kinds: {known}"
    if isinstance(kind, str):
        try:
            extensions.load_spec(kind)
        except extensions.BrokenExtension as broken:
            text = str(broken)
        if (model := kinds.get(kind)) is not None:
            return model
    # Braces are placeholders in a message of pydantic's.
    error = PydanticCustomError("unknown_kind", "{text}", {"text": text})
    fault = InitErrorDetails(type=error, loc=("kind",), input=kind)
    raise ValidationError.from_exception_data(base.__name__, [fault])
