"""`remotectl secret`: no value stands in arguments, in the output or in an error."""

from __future__ import annotations

import getpass
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_api import NOW, Answer, FakeApi

VALUE = "correct horse"


def view(**fields: Any) -> dict[str, Any]:
    return {
        "name": "A", "queues": ["berlin"], "all_queues": False, "key_id": "k1", "created_at": NOW,
        "created_by": "alice", "updated_at": NOW, "updated_by": "bob", "problem": "", **fields,
    }  # fmt: skip


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[bytes], None]]:
    """Lets bytes come from standard input."""
    kept = os.dup(0)

    def give(data: bytes) -> None:
        file = tmp_path / "stdin"
        file.write_bytes(data)
        with file.open("rb") as opened:
            os.dup2(opened.fileno(), 0)
        monkeypatch.setattr(sys, "stdin", io.StringIO())

    yield give
    os.dup2(kept, 0)
    os.close(kept)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (VALUE.encode(), VALUE),
        (f"{VALUE}\n".encode(), VALUE),
        (f"{VALUE}\r\n".encode(), VALUE),
        (b"-----BEGIN\nabc\n-----END\n", "-----BEGIN\nabc\n-----END\n"),
        (b" a b \n", " a b "),
    ],
)
def test_a_value_of_standard_input(
    api: FakeApi, ctl: Any, given: Any, capsys: Any, data: bytes, value: str
) -> None:
    api.on("PUT", "/secrets/A", Answer(view(), 201))
    given(data)
    assert ctl("secret", "set", "A", "--queue", "berlin", "--queue", "paris") == 0
    assert api.calls[0].body == {"value": value, "queues": ["berlin", "paris"]}
    out, err = capsys.readouterr()
    assert VALUE not in out + err and "secret A is set for jobs of: berlin" in err


def test_a_value_of_a_file(api: FakeApi, ctl: Any, capsys: Any, tmp_path: Path) -> None:
    api.on("PUT", "/secrets/A", view(queues=[], all_queues=True))
    file = tmp_path / "value"
    file.write_text(f"{VALUE}\n")
    assert ctl("secret", "set", "A", "--all-queues", "--from-file", str(file), "-o", "json") == 0
    assert api.calls[0].body == {"value": VALUE, "all_queues": True}
    assert json.loads(capsys.readouterr().out)["all_queues"]
    assert ctl("secret", "set", "A", "--from-file", str(file)) == 0
    assert api.calls[1].body == {"value": VALUE}


def test_a_terminal_asks_twice_without_showing(
    api: FakeApi, ctl: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    api.on("PUT", "/secrets/A", view())
    monkeypatch.setattr(sys, "stdin", Terminal())
    typed = [VALUE, VALUE, VALUE, "else", ""]
    monkeypatch.setattr(getpass, "getpass", lambda prompt: typed.pop(0))
    assert ctl("secret", "set", "A") == 0
    assert api.calls[0].body == {"value": VALUE}
    assert ctl("secret", "set", "A") == 2
    assert "differ; nothing was set" in capsys.readouterr().err
    assert ctl("secret", "set", "A") == 2
    assert len(api.calls) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff", "is not UTF-8"),
        (b"x" * 65537, "more than 65536 bytes"),
    ],
)
def test_what_is_no_value(
    api: FakeApi, ctl: Any, given: Any, capsys: Any, data: bytes, said: str
) -> None:
    given(data)
    assert ctl("secret", "set", "A", "--from-file", "-") == 2
    assert said in capsys.readouterr().err and api.calls == []


def test_what_is_no_use(api: FakeApi, ctl: Any, capsys: Any, tmp_path: Path) -> None:
    for words, said in (
        (("set", "A", "--queue", "x", "--all-queues"), "not both"),
        (("set", "A", "--from-file", str(tmp_path / "missing")), "cannot be read: No such file"),
        (("edit", "A"), "Nothing to change"),
        (("set", "A", "the-value"), "unexpected extra argument"),
    ):
        assert ctl("secret", *words) == 2
        assert said in capsys.readouterr().err
    assert api.calls == []


def test_list_show_edit_and_delete(api: FakeApi, ctl: Any, capsys: Any) -> None:
    other = view(name="B", queues=[], all_queues=True, problem="the key is lost")
    api.on("GET", "/secrets", {"items": [view(), other, view(name="C", queues=[])]})
    assert ctl("secret", "list", "-o", "wide") == 0
    out = capsys.readouterr().out
    for words in ("NAME", "berlin", "(all)", "(none)", "the key is lost", "bob", "k1"):
        assert words in out
    api.on("GET", "/secrets/B", other)
    assert ctl("secret", "show", "B") == 0
    assert "the key is lost" in capsys.readouterr().out
    api.on("PATCH", "/secrets/B", view(name="B"))
    assert ctl("secret", "edit", "B", "--queue", "berlin") == 0
    assert api.calls[-1].body == {"queues": ["berlin"]}
    assert "secret B is for jobs of: berlin" in capsys.readouterr().err
    api.on("DELETE", "/secrets/B", Answer(None, 204))
    assert ctl("secret", "delete", "B") == 0
    assert "secret B is deleted" in capsys.readouterr().err
