"""Output of many jobs: whole lines behind the names of their agents."""

from __future__ import annotations

import threading

import pytest

from remote_client.cli import prefixed
from remote_client.cli.prefixed import MemberOutput, PrefixedOutput
from tests.support.fake_api import cri_log


def test_lines_are_whole_and_aligned(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output = PrefixedOutput(["a", "web-1"])
    one, two = MemberOutput(output, "a"), MemberOutput(output, "web-1")
    one.feed(cri_log(("stdout", b"par")))
    two.feed(
        cri_log(
            ("stdout", b"\xff\n"), ("stderr", b"oops\n"), ("stdout", b"x\n"), ("stdout", b"y\n")
        )
    )
    one.feed(cri_log(("stdout", b"tial\n"), ("stdout", b"rest")))
    one.end()
    two.end()
    out, err = capfdbinary.readouterr()
    assert out == (b"web-1 | \xff\nweb-1 | x\nweb-1 | y\na     | partial\na     | rest\n")
    assert err == b"web-1 | oops\n"


def test_an_empty_line_and_one_without_end(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prefixed, "_LONGEST", 8)
    member = MemberOutput(PrefixedOutput(["a"]), "a")
    member.feed(cri_log(("stdout", b"\n"), ("stdout", b"0123456789")))
    assert capfdbinary.readouterr().out == b"a | \na | 0123456789\n"
    member.end()
    assert capfdbinary.readouterr().out == b""


def test_all_of_it_may_go_aside(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    member = MemberOutput(PrefixedOutput(["a"], aside=True), "a")
    member.feed(cri_log(("stdout", b"1\n"), ("stderr", b"2\n")))
    assert capfdbinary.readouterr() == (b"", b"a | 1\na | 2\n")


def test_threads_do_not_mix_their_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    names = [f"agent-{number}" for number in range(8)]
    output = PrefixedOutput(names)

    def write(name: str) -> None:
        member = MemberOutput(output, name)
        for _ in range(200):
            member.feed(cri_log(("stdout", name.encode() * 20), ("stdout", b"\n")))

    threads = [threading.Thread(target=write, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert sorted(set(lines)) == [f"{name} | {name * 20}" for name in names]
    assert len(lines) == 1600
