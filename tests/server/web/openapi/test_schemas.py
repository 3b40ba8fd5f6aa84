"""Schemas of models say what the source of the models says."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, create_model
from pydantic_core import core_schema

from remote_protocol.api.bodies import Page
from remote_protocol.api.queues import QueueCreate, QueueView
from remote_server.web.openapi.schemas import Schemas, field_words, one_line

T = TypeVar("T")


class Base(BaseModel):
    """What is shared."""

    first: int
    """Of the base; in
    two lines."""
    plain: int = 0


class Further(Base):
    """What is added."""

    second: str = ""
    """Of the model."""
    plain: int = 1
    """Said again."""


class Box(BaseModel, Generic[T]):
    """Anything."""

    inside: T
    """What is in it."""


def test_fields_have_the_words_after_them_of_bases_too() -> None:
    assert field_words(Further) == {
        "first": "Of the base; in two lines.",
        "second": "Of the model.",
        "plain": "Said again.",
    }


def test_a_schema_has_them_and_no_titles() -> None:
    schema = Further.model_json_schema(schema_generator=Schemas)
    assert "title" not in schema
    assert schema["description"] == "What is added."
    assert schema["properties"]["first"] == {
        "description": "Of the base; in two lines.",
        "type": "integer",
    }


def test_a_generic_model_has_those_of_its_origin() -> None:
    schema = Box[int].model_json_schema(schema_generator=Schemas)
    assert schema["properties"]["inside"]["description"] == "What is in it."


def test_a_model_made_at_run_time_has_those_of_its_bases() -> None:
    made = create_model("Made", __base__=Further)
    schema = made.model_json_schema(schema_generator=Schemas)
    assert schema["description"] == "What is added."
    assert schema["properties"]["second"]["description"] == "Of the model."


def test_a_model_without_source_has_none() -> None:
    made = create_model("Made", __module__="nowhere", number=(int, 1))
    assert field_words(made) == {}
    assert made.model_json_schema(schema_generator=Schemas)["properties"]["number"] == {
        "default": 1,
        "type": "integer",
    }


def test_a_page_is_called_after_its_items() -> None:
    both = create_model("Both", page=(Page[QueueView], ...))
    assert "QueuePage" in both.model_json_schema(schema_generator=Schemas)["$defs"]


def test_a_duration_may_be_sent_as_text_and_is_shown_as_a_number() -> None:
    sent = QueueCreate.model_json_schema(schema_generator=Schemas)
    kinds = [choice["type"] for choice in sent["properties"]["log_retention"]["anyOf"]]
    assert kinds == ["number", "string", "null"]
    shown = QueueCreate.model_json_schema(mode="serialization", schema_generator=Schemas)
    assert shown["properties"]["log_retention"]["anyOf"] == [{"type": "number"}, {"type": "null"}]


class Cat(BaseModel):
    """A cat."""

    kind: Literal["cat"]


class Dog(BaseModel):
    """A dog."""

    kind: Literal["dog"]


def test_several_kinds_are_told_apart_and_a_single_one_is_itself() -> None:
    schemas = {"cat": Cat.__pydantic_core_schema__, "dog": Dog.__pydantic_core_schema__}
    both = core_schema.tagged_union_schema(schemas, discriminator="kind")
    described = Schemas().generate(both)
    assert described["discriminator"]["propertyName"] == "kind"
    assert [one["$ref"] for one in described["oneOf"]] == ["#/$defs/Cat", "#/$defs/Dog"]
    one = core_schema.tagged_union_schema({"cat": schemas["cat"]}, discriminator="kind")
    assert Schemas().generate(one)["description"] == "A cat."


def test_paragraphs_stay() -> None:
    assert one_line("One\n    two.\n\n    Three\n    four.") == "One two.\n\nThree four."
