"""What a job leaves in REMOTE_OUTPUTS: what is understood, left out, and not touched."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from remote_agent.processes import Folder
from remote_agent.shim.order import Order
from remote_agent.shim.outputs import parse, read_outputs, without_outputs
from remote_protocol.limits import MAX_OUTPUT_VALUE, MAX_OUTPUTS, MAX_OUTPUTS_SIZE
from tests.support.shim_harness import ENV, ShimHarness
from tests.support.shim_seams import extended_client

ORDER = Order("J.1", ["true"], {}, "/")


def read(place: Path, order: Order = ORDER) -> dict[str, Any]:
    with Folder(place) as folder:
        return read_outputs(folder, order, None)


def values(data: bytes) -> dict[str, str]:
    problems: list[str] = []
    found = parse(data, problems)
    assert not problems
    return found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", {}),
        (b"\n\r\n", {}),
        (b"a=1\nb=2", {"a": "1", "b": "2"}),
        (b"a=1\r\nb=\r\n", {"a": "1", "b": ""}),
        (b"a=1=2 << 3 \n", {"a": "1=2 << 3 "}),
        (b"a=1\na=2\n", {"a": "2"}),
        (b"a<<EOF\none\ntwo=2\nEOF\nb=3\n", {"a": "one\ntwo=2", "b": "3"}),
        (b"a<<E=F\r\none\r\n\r\nE=F\r\n", {"a": "one\n"}),
        (b"a<<EOF\nEOF", {"a": ""}),
        ("über=no\n".encode().replace("ü".encode(), b"u") + "a=ü🙂\n".encode(), None),
    ],
)
def test_syntax(data: bytes, found: dict[str, str] | None) -> None:
    assert values(data) == ({"uber": "no", "a": "ü🙂"} if found is None else found)


@pytest.mark.parametrize(
    ("data", "found", "said"),
    [
        (b"nothing\na=1\n", {"a": "1"}, "line 1 is neither key=value nor key<<EOF"),
        (b"a<<\n", {}, "line 1 is neither"),
        (b"b=1\na<<EOF\nx\n", {"b": "1"}, "the value that begins in line 2 has no end"),
        (b"=1\n", {}, "the key in line 1 is not 1 to 128 letters"),
        (b"a b=1\n", {}, "the key in line 1 is not"),
        (b"1=1\n", {}, "the key in line 1 is not"),
        (b"k" * 129 + b"=1\n", {}, "the key in line 1 is not"),
        (b"a=\xff\n", {"a": "\ufffd"}, "what is no text in UTF-8 was replaced"),
        (b"a=\x1b[2J\0\n", {"a": "\ufffd[2J\ufffd"}, "was replaced"),
        (b"a=" + b"x" * (MAX_OUTPUT_VALUE + 1), {}, "value in line 1 has more than 32 KiB"),
        (b"a=1\na=" + b"x" * (MAX_OUTPUT_VALUE + 1), {"a": "1"}, "line 2 has more than 32 KiB"),
    ],
)
def test_what_is_left_out(data: bytes, found: dict[str, str], said: str) -> None:
    problems: list[str] = []
    assert parse(data, problems) == found
    assert len(problems) == 1 and said in problems[0]


def test_bounds_of_all_together() -> None:
    problems: list[str] = []
    lines = b"".join(b"k%d=v\n" % n for n in range(MAX_OUTPUTS + 2)) + b"k0=again\n"
    found = parse(lines, problems)
    assert len(found) == MAX_OUTPUTS and found["k0"] == "again"
    assert problems[0] == f"the key in line {MAX_OUTPUTS + 1} is one too many: 64 are allowed"
    problems = []
    # Each byte becomes the three of U+FFFD.
    found = parse(b"".join(b"%c=" % key + b"\xff" * 10_000 + b"\n" for key in b"abc"), problems)
    assert list(found) == ["a", "b"] and "with line 3 it is more than 64 KiB" in problems[1]


def test_without_a_file_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert read(tmp_path) == {}
    (tmp_path / "outputs").touch()
    assert read(tmp_path) == {}


def test_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "home").mkdir()
    (tmp_path / "here" / "outputs").write_text("a=here\n")
    (tmp_path / "home" / "outputs").write_text("a=home\n")
    assert read(tmp_path / "here") == {"outputs": {"a": "here"}, "outputs_warning": ""}
    order = ORDER._replace(home=str(tmp_path / "home"))
    assert read(tmp_path / "here", order)["outputs"] == {"a": "home"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_byte_order_marks(tmp_path: Path, encoding: str) -> None:
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    (tmp_path / "outputs").write_bytes(f"{mark}a=ü\r\nb=2\r\n".encode(encoding))
    assert read(tmp_path)["outputs"] == {"a": "ü", "b": "2"}


def test_a_large_file_is_read_as_far_as_allowed(tmp_path: Path) -> None:
    line = b"a=" + b"x" * 997 + b"\n"
    (tmp_path / "outputs").write_bytes(b"first=1\n" + line * 1_000)
    found = read(tmp_path)
    assert found["outputs"] == {"first": "1", "a": "x" * 997}
    assert found["outputs_warning"] == (
        "REMOTE_OUTPUTS was not taken as it is: it has more than 64 KiB, the rest was left out"
    )
    # One that never ends costs no more.
    os.truncate(tmp_path / "outputs", 1 << 40)
    assert read(tmp_path)["outputs"]["first"] == "1"


def test_many_faults_are_cut(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_bytes(b"secret\n" * 9_000)
    found = read(tmp_path)
    assert found["outputs"] == {} and found["outputs_warning"].endswith("; and 8995 more")
    assert "secret" not in found["outputs_warning"]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.symlink_to("/etc/passwd"), "it is a symbolic link"),
        (os.mkfifo, "it is a FIFO"),
        (lambda path: path.mkdir(), "it is a directory"),
        (lambda path: os.link(path.with_name("other"), path), "it has a second name"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a symbolic link"),
    ],
)
def test_what_a_hostile_job_puts_there(tmp_path: Path, make: Any, said: str) -> None:
    (tmp_path / "other").write_text("a=1\n")
    make(tmp_path / "outputs")
    found = read(tmp_path)
    assert list(found) == ["outputs_warning"]
    assert found["outputs_warning"].startswith(f"REMOTE_OUTPUTS was not read: {said}")


def test_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("outputs")
        assert "it is a socket" in read(tmp_path)["outputs_warning"]


def test_a_closed_file_is_opened(tmp_path: Path) -> None:
    (tmp_path / "outputs").write_text("a=1\n")
    (tmp_path / "outputs").chmod(0)
    assert read(tmp_path)["outputs"] == {"a": "1"}


def test_a_record_for_a_datagram() -> None:
    plain = {"artifacts": 1}
    assert without_outputs(plain) is plain
    cut = without_outputs({"artifacts": 1, "outputs": {"a": "1"}, "outputs_warning": ""})
    assert (
        cut["artifacts"] == 1
        and cut["outputs"] == {}
        and "the disk of the host is full" in cut["outputs_warning"]
    )


def test_a_job_that_fails_gives_outputs(harness: ShimHarness) -> None:
    directory = harness.make(["true"])
    text = 'printf "a=1\\nb<<X\\none\\ntwo\\nX\\n" >> "$REMOTE_OUTPUTS"; exit 3'
    env = {**ENV, "REMOTE_OUTPUTS": str(directory / "outputs")}
    order = Order(directory.name, ["sh", "-c", text], env, str(directory / "work"), sync=False)
    (directory / "attempt.jsonl").write_bytes(order.line() + b"{}\n")
    harness.shims.request(directory)
    record = harness.ended(directory)
    assert record["exit_code"] == 3 and record["outputs_warning"] == ""
    assert record["outputs"] == {"a": "1", "b": "one\ntwo"}


def test_a_job_without_outputs_has_nothing_of_them_in_its_record(harness: ShimHarness) -> None:
    run = harness.run(["true"])
    assert not {"outputs", "outputs_warning"} & set(run.record)
    assert not (run.directory / "outputs").exists()


def test_a_filter_of_the_log_is_one_of_outputs(tmp_path: Path) -> None:
    with extended_client():
        harness = ShimHarness(tmp_path / "state")
        harness.shims.start(1)
        try:
            text = 'printf "a=$S\\nb<<X\\n$S\\n$S\\nX\\n$S=1\\n" > ../outputs'
            directory = harness.make(["sh", "-c", text], secrets=["S"], filter="redact")
            harness.shims.request(directory, {"S": "hunter2"})
            record = harness.ended(directory)
        finally:
            harness.close()
    assert record["outputs"] == {"a": "***", "b": "***\n***"}
    assert "the key in line 6 is not" in record["outputs_warning"]
    assert "hunter2" not in (directory / "exit.json").read_text()


def test_the_largest_record(tmp_path: Path) -> None:
    half = '"\\' * (MAX_OUTPUT_VALUE // 2 - 2)
    (tmp_path / "outputs").write_text(f"a={half}\nb={half}")
    assert (tmp_path / "outputs").stat().st_size == MAX_OUTPUTS_SIZE - 3
    assert read(tmp_path)["outputs"] == {"a": half, "b": half}
