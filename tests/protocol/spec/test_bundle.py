"""Bundles, and what a Python job runs of one."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from remote_protocol.contents import ContentRef
from remote_protocol.limits import MAX_BUNDLE
from remote_protocol.spec import Bundle, JobSpec, PythonSpec

DIGEST = "ab" * 32
ZIP: dict[str, Any] = {"digest": DIGEST, "size": 10}
WHEEL: dict[str, Any] = {**ZIP, "form": "wheel", "name": "tool-1.0-py3-none-any.whl"}


def python(**fields: Any) -> PythonSpec:
    return PythonSpec.model_validate({"kind": "python", **fields})


def refusal(**fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        python(**fields)
    return str(caught.value)


def test_forms() -> None:
    assert Bundle.model_validate(ZIP).form == "zip"
    for name in ("tool-1.0-py3-none-any.whl", "a.b_c-1.0rc1+x-1-cp311-abi3-manylinux_2_17.whl"):
        assert Bundle.model_validate({**WHEEL, "name": name}).name == name
    for bad in (
        {**ZIP, "size": 0},
        {**ZIP, "size": MAX_BUNDLE + 1},
        {**ZIP, "digest": "AB" * 32},
        {**ZIP, "form": "tar"},
        {**ZIP, "name": WHEEL["name"]},
        {**WHEEL, "name": None},
        {**WHEEL, "name": "../tool-1.0-py3-none-any.whl"},
        {**WHEEL, "name": "--tool-1.0-py3-none-any.whl"},
        {**WHEEL, "name": "tool.whl"},
    ):
        with pytest.raises(ValidationError):
            Bundle.model_validate(bad)


def test_what_a_job_runs_of_one() -> None:
    assert python(bundle=ZIP, entry="bin/run.py", args=["x"]).words == ["bin/run.py", "x"]
    assert python(bundle=ZIP, module="tool").words == ["-m", "tool"]
    assert python(bundle=WHEEL, module="tool").words == ["-m", "tool"]
    assert python(bundle=ZIP, script="print()").words == ["main.py"]
    assert "one of them" in refusal(bundle=ZIP)
    assert "one of them" in refusal(bundle=ZIP, entry="a.py", module="a")
    assert "file of a bundle" in refusal(entry="a.py")
    assert "file of a bundle" in refusal(bundle=WHEEL, entry="a.py")
    assert "stays inside" in refusal(bundle=ZIP, entry="../a.py")


def test_contents_of_a_job() -> None:
    other = {"path": "f", "digest": "cd" * 32, "size": 3}
    again = {"path": "g", "digest": DIGEST, "size": 10}
    spec = python(bundle=ZIP, entry="a.py", files=[other, again])
    assert spec.contents == [ContentRef(DIGEST, 10), ContentRef("cd" * 32, 3)]
    assert JobSpec.model_validate_json(spec.short_json) == spec
    assert python(script="print()").contents == []
    assert "bundle" not in python(script="print()").short_json
