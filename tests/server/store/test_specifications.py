"""Specifications go into their columns and come back whole."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from remote_protocol.attempt_id import AttemptId
from remote_protocol.codec import decode_from_server, encode
from remote_protocol.limits import MAX_FILES, MAX_FILES_SIZE
from remote_protocol.messages import Offer
from remote_protocol.spec import JobSpec
from remote_server.errors import JobTooLarge
from remote_server.store.specifications import _DEFAULTS, Specs, require_offerable, spec_texts
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


def test_requirements_that_are_many_are_left_out_of_lists() -> None:
    lines = [f"package-{number}==1.0" for number in range(500)]
    fields = {"kind": "python", "module": "a", "requirements": lines}
    wanted = JobSpec.model_validate(fields)
    texts = spec_texts(wanted)
    assert Specs().parse("j", texts.spec, texts.bulk) == wanted
    listed, cut = Specs().parse_listed("j", texts.spec, texts.excerpt)
    assert cut == ("requirements",) and listed.model_dump()["requirements"] == []


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


def largest(controls: int) -> JobSpec:
    """A job of 8 MiB of files and so many control characters, which JSON writes with six bytes."""
    files = [{"path": "a", "content": b64encode(bytes(MAX_FILES_SIZE)).decode()}]
    env = dict.fromkeys("EFGH", "\x02" * 100000)
    return spec(command=[], shell="bash", script="\x01" * controls, env=env, files=files)


def test_what_no_offer_can_carry_is_refused() -> None:
    def offer(wanted: JobSpec) -> str:
        return encode(Offer(attempt=AttemptId("01ARZ3NDEKTSV4RRFFQ69G5FAV", 1 << 30), spec=wanted))

    fits, too_large = largest(995_000), largest(1 << 20)
    require_offerable(fits, spec_texts(fits))
    assert decode_from_server(offer(fits)).type == "offer"
    for number, which in ((0, "the job has"), (7, "job 7 of the batch has")):
        with pytest.raises(JobTooLarge, match=f"^{which} [0-9]+ bytes as JSON.*smaller"):
            require_offerable(too_large, spec_texts(too_large), number)


@pytest.mark.parametrize("fields", CASES, ids=lambda fields: ",".join(fields) or "small")
def test_fields_with_their_defaults_are_small(fields: dict[str, Any]) -> None:
    many = [{"path": f"{number}", "content": ""} for number in range(MAX_FILES)]
    for wanted in (spec(**fields), spec(**{**fields, "files": many})):
        offered = len(wanted.model_dump_json(exclude_none=True).encode())
        assert offered <= 4 * spec_texts(wanted).size + _DEFAULTS


def test_a_long_recipe_is_cut_in_lists() -> None:
    stored = spec_texts(JobSpec.model_validate({"kind": "datahub", "recipe": "a: b\n" * 1000}))
    assert stored.excerpt is not None and stored.bulk is not None
    cut = json.loads(stored.excerpt)["recipe"]
    assert len(cut) == 256 and cut.endswith("…") and "recipe" not in json.loads(stored.spec)
