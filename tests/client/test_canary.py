"""A made-up secret is recognised in every form, and what is safe is not said to leak."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest

from remote_client.canary import PRINTED, Canary, Channel, is_proven, judged, lines_of

CANARY = Canary("CANARY_0F", "0123456789abcdef0123456789abcdef")


@pytest.mark.parametrize(
    "text",
    [
        CANARY.value,
        quote(CANARY.value),
        json.dumps(CANARY.value),
        *(base64.b64encode(b"-" * n + CANARY.value.encode() + b"-").decode() for n in range(6)),
    ],
)
def test_every_form_is_recognised(text: str) -> None:
    assert CANARY.is_in(f"before {text} after")


@pytest.mark.parametrize("text", ["", "***", CANARY.name, 'canary "', CANARY.digits[:-1]])
def test_what_is_no_form_of_it(text: str) -> None:
    assert not CANARY.is_in(text)


def test_its_script_writes_it_in_every_form(tmp_path: Path) -> None:
    """Without anybody who masks, each channel gives it away."""
    more = {
        CANARY.name: CANARY.value,
        "REMOTE_OUTPUTS": str(tmp_path / "outputs"),
        "REMOTE_ARTIFACTS": str(tmp_path),
    }
    done = subprocess.run(
        ["sh", "-c", CANARY.script], env={**os.environ, **more}, capture_output=True, check=True
    )
    lines = lines_of(done.stdout.decode())
    assert [word for word, text in lines.items() if CANARY.is_in(text)] == list(PRINTED)
    assert CANARY.is_in(done.stderr.decode())
    assert CANARY.value in (tmp_path / "outputs").read_text()
    assert (tmp_path / CANARY.value).is_file()


def test_a_channel_leaks_is_masked_is_clean_or_was_not_tried() -> None:
    written = {"a": "raw ***", "b": f"raw {CANARY.value}", "c": ""}
    documents = {"d": {"x": 1}, "e": {"env": [CANARY.value]}}
    found = judged(CANARY, written, documents)
    assert found == [("a", "masked"), ("b", "leaked"), ("c", "not tried"), ("d", "clean"),
                     ("e", "leaked")]  # fmt: skip
    assert is_proven([Channel("a", "masked"), Channel("d", "clean")])
    assert not any(is_proven([found[number]]) for number in (1, 2, 4))


def test_lines_that_are_missing_are_empty() -> None:
    lines = lines_of("raw ***\nodd x\nurl ***\n")
    assert lines["raw"] == lines["url"] == "***" and lines["json"] == ""
    assert tuple(lines) == PRINTED
