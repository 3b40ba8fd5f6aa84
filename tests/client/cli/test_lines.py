"""Lines of a log: joined, the last ones, and those since a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from remote_client.cli.lines import Lines, last_lines
from remote_client.logs import BlockingLog
from remote_client.network import BlockingNetwork
from remote_client.transport import Transport
from remote_protocol import cri
from tests.support.fake_api import ID, TOKEN, FakeApi, cri_log

STAMP = "2026-11-21T05:00:00.000000000Z"


def shown(*pieces: bytes, **options: object) -> bytes:
    out: list[bytes] = []
    lines = Lines(out.append, joined=True, **options)  # type: ignore[arg-type]
    for piece in pieces:
        lines.feed(piece)
    lines.end()
    return b"".join(out)


def test_a_line_is_what_comes_up_to_its_newline() -> None:
    euro = "€".encode()
    log = [
        cri_log(("stdout", b"checking... ")),
        cri_log(("stderr", b"warn\n"), ("stdout", euro[:1])),
        cri_log(("stdout", euro[1:] + b" ok\n"), ("stdout", b"10%\r20%\r")),
        cri_log(("stdout", b"100%\n"), ("stdout", b"tail")),
    ]
    assert shown(*log).decode().splitlines(keepends=False)[0] == f"{STAMP} stderr warn"
    assert shown(*log).decode().split("\n") == [
        f"{STAMP} stderr warn",
        f"{STAMP} stdout checking... € ok",
        f"{STAMP} stdout 10%\r20%\r100%",
        f"{STAMP} stdout tail",
        "",
    ]
    assert shown(*log, only="stderr").decode() == f"{STAMP} stderr warn\n"


def test_a_line_has_the_time_of_its_beginning() -> None:
    late = cri_log(("stdout", b"ok\n")).replace(b"05:00:00", b"05:00:09")
    assert shown(cri_log(("stdout", b"wait ")), late).decode() == f"{STAMP} stdout wait ok\n"
    assert shown(cri_log(("stdout", b"a\n")), late, earliest="2026-11-21T05:00:09").endswith(
        b"ok\n"
    )
    assert b" a" not in shown(cri_log(("stdout", b"a\n")), late, earliest="2026-11-21T05:00:09")


def test_a_line_without_an_end_is_not_held_for_ever() -> None:
    piece = cri_log(("stdout", b"x" * 300_000))
    out: list[bytes] = []
    lines = Lines(out.append, joined=True)
    for _ in range(8):
        lines.feed(piece)
    assert len(b"".join(out)) > 1_000_000


@pytest.fixture
def opened(api: FakeApi) -> Iterator[Callable[[int], BlockingLog]]:
    with closing(Transport(api.url, TOKEN, network=BlockingNetwork(lambda _: None))) as transport:
        yield lambda offset: BlockingLog(transport, f"/jobs/{ID}", None, offset, False)


@pytest.mark.parametrize("count", [0, 1, 3, 999, 5000, 9999])
def test_the_last_lines(api: FakeApi, opened: Callable[[int], BlockingLog], count: int) -> None:
    api.on("GET", f"/jobs/{ID}/log", cri_log(*(("stdout", b"%d\n" % n) for n in range(5000))))
    got = cri.decode(b"".join(last_lines(opened, count)))
    first = max(0, 5000 - count)
    assert got == b"".join(b"%d\n" % n for n in range(first, 5000))


def test_the_last_lines_of_one_stream_and_without_an_end(
    api: FakeApi, opened: Callable[[int], BlockingLog]
) -> None:
    records = [("stderr", b"e1\n"), ("stdout", b"1\n"), ("stderr", b"e2\n"), ("stdout", b"2 "),
               ("stdout", b"2\n"), ("stdout", b"3")]  # fmt: skip
    api.on("GET", f"/jobs/{ID}/log", cri_log(*records))
    assert cri.decode(b"".join(last_lines(opened, 1))) == b"3"
    assert cri.decode(b"".join(last_lines(opened, 2))) == b"2 2\n3"
    assert cri.decode(b"".join(last_lines(opened, 1, "stderr")), b"stderr") == b"e2\n"


def test_an_empty_log_has_no_last_lines(api: FakeApi, opened: Callable[[int], BlockingLog]) -> None:
    api.on("GET", f"/jobs/{ID}/log", b"")
    assert b"".join(last_lines(opened, 5)) == b""
