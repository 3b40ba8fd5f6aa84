"""The start order across versions and damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from remote_agent.processes import Folder
from remote_agent.shim.layout import ORDER
from remote_agent.shim.order import Order, OrderError, line_of, parse, read_order, unusual

PLAIN = Order("J.1", ["true"], {"PATH": "/bin"}, "/")


def test_a_line_gives_the_order_back() -> None:
    full = PLAIN._replace(timeout=1.5, memory_limit=1 << 30, cgroup="/x", keep_processes=True)
    for order in (PLAIN, full):
        assert order.line().endswith(b"\n") and order.line().count(b"\n") == 1
        assert parse(order.line()) == order


def test_a_line_leaves_out_what_is_as_for_most_jobs() -> None:
    assert set(json.loads(PLAIN.line())) == {"v", "key", "argv", "env", "cwd"}
    odd = PLAIN._replace(sync=False, umask=0, segments=9)
    assert json.loads(odd.line()).keys() - json.loads(PLAIN.line()) == {"sync", "umask", "segments"}


def test_a_line_may_have_what_is_as_for_most_jobs() -> None:
    assert parse(line_of(PLAIN._asdict())) == PLAIN
    assert unusual({"key": "J.1", "umask": 0o022, "sync": False}) == {"key": "J.1", "sync": False}


def test_what_kinds_of_jobs_add() -> None:
    order = PLAIN._replace(
        workload="container",
        options={"image": "x:1"},
        payload=b"\xff\0",
        secrets=["TOKEN"],
        filter="m",
        mask_file="/x/mask",
    )
    assert parse(order.line()) == order
    assert b"payload" not in PLAIN.line()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("payload", "%%"),
        ("payload", 3),
        ("payload", "A" * 1_400_000),
        ("secrets", "TOKEN"),
        ("secrets", [1]),
        ("mask_file", 3),
    ],
)
def test_what_kinds_add_is_checked(field: str, value: object) -> None:
    line = json.dumps({**json.loads(PLAIN.line()), field: value}).encode()
    with pytest.raises(OrderError, match="damaged"):
        parse(line)


def test_versions_differ() -> None:
    body = json.loads(PLAIN.line())
    assert parse(json.dumps({**body, "new_field": 1}).encode()) == PLAIN
    old = {name: body[name] for name in ("v", "key", "argv", "env", "cwd")}
    assert parse(json.dumps(old).encode()) == PLAIN
    with pytest.raises(OrderError, match="version 2, this shim understands up to 1; restart"):
        parse(json.dumps({**body, "v": 2}).encode())


def test_one_segment_would_block_for_ever() -> None:
    assert parse(PLAIN._replace(segments=0).line()).segments == 2


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"v":1}',
        PLAIN._replace(argv=[]).line(),
        PLAIN._replace(argv=[1]).line(),  # type: ignore[list-item]
        PLAIN._replace(stop_signal="SIGNONE").line(),
        PLAIN._replace(key=None).line().replace(b'"v":1', b'"v":"1"'),  # type: ignore[arg-type]
    ],
)
def test_damage_is_named(line: bytes) -> None:
    with pytest.raises(OrderError, match="damaged"):
        parse(line)


def test_only_the_first_line_is_read(tmp_path: Path) -> None:
    order = PLAIN._replace(env={"X": "y" * 200_000})
    path = tmp_path / ORDER
    path.write_bytes(order.line() + b"\xff" * 1_000_000)
    with Folder(tmp_path) as directory:
        assert read_order(directory) == order
        path.write_bytes(order.line()[:-1])
        with pytest.raises(OrderError, match="cut short"):
            read_order(directory)
        path.unlink()
        with pytest.raises(FileNotFoundError):
            read_order(directory)


def test_a_user_is_a_number_and_never_root() -> None:
    mine = PLAIN._replace(uid=80000, gid=80000, groups=[80000], exclusive_user=True)
    assert parse(mine.line()) == mine
    for uid in (0, -1, True, "80000", 1 << 32, 5.0):
        with pytest.raises(OrderError, match="no user"):
            parse(mine._replace(uid=cast(int, uid)).line())
