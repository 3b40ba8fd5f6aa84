"""Specifications go into their columns and come back whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from remote_server.store.specifications import Specs, spec_texts
from tests.support.stored import spec

BIG = "x" * 5000
CASES: list[dict[str, Any]] = [
    {},
    {"name": "n", "labels": {"a": "b"}},
    {"files": [{"path": "a", "content": "eA=="}]},
    {"command": ["echo", BIG]},
    {"command": [], "shell": "bash", "script": BIG},
    {"command": ["echo"] * 900},
    {"command": [], "shell": "bash", "script": "echo", "args": [BIG, "a"]},
    {"env": {f"N{n}": BIG[:100] for n in range(90)}, "name": "ü"},
    {"command": [BIG], "env": {"A": BIG}, "files": [{"path": "a", "content": ""}]},
]


@pytest.mark.parametrize("fields", CASES, ids=lambda fields: ",".join(fields) or "small")
def test_a_specification_survives_its_columns(fields: dict[str, Any]) -> None:
    wanted = spec(**fields)
    texts = spec_texts(wanted)
    assert Specs().parse("j", texts.spec, texts.bulk) == wanted
    assert len(texts.spec) < 1200
    assert len(texts.excerpt or "") < 2000
    listed, cut = Specs().parse_listed("j", texts.spec, texts.excerpt)
    assert set(cut) == set(json.loads(texts.bulk or "{}"))
    for name in type(wanted).model_fields:
        if name not in cut:
            assert getattr(listed, name) == getattr(wanted, name)


def test_equal_specifications_have_equal_texts() -> None:
    for fields in CASES:
        assert spec_texts(spec(**fields)) == spec_texts(spec(**fields))
