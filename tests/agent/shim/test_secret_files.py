"""Secrets as files: their job's alone, and gone with it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

import pytest

from remote_agent.shim.order import Order, OrderError
from remote_agent.shim.secret_files import IN_CONTAINER, SecretFiles
from tests.support.shim_harness import ENV, Run, ShimHarness, eventually

SECRET = f"s3cret-{token_hex(16)}"


@contextmanager
def secret_files(order: Order, secrets: Mapping[str, str]) -> Iterator[SecretFiles]:
    files = SecretFiles(order, secrets)
    try:
        yield files
    finally:
        files.remove()


def order(folder: Path, *names: str, **fields: object) -> Order:
    known = {"key": "J1.1", "argv": ["x"], "env": {}, "cwd": "/", "secret_files": list(names)}
    return Order(**{**known, "secret_prefix": f"{folder}/remote-agent-x-", **fields})  # type: ignore[arg-type]


def test_each_is_a_file_that_its_owner_can_read(tmp_path: Path) -> None:
    with secret_files(order(tmp_path, "A", "B"), {"A": "ä\n", "B": "", "C": "c"}) as files:
        assert files.variables.keys() == {"A_FILE", "B_FILE"}
        path = Path(files.variables["A_FILE"])
        assert path.read_text() == "ä\n" and Path(files.variables["B_FILE"]).read_text() == ""
        assert stat.S_IMODE(path.stat().st_mode) == 0o400
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert path.parent.name.startswith("remote-agent-x-J1.1-") and path.name == "A"
        assert not os.get_inheritable(files._folder or 0)
    assert list(tmp_path.iterdir()) == []
    files.remove()


def test_an_order_without_any_makes_nothing(tmp_path: Path) -> None:
    with secret_files(order(tmp_path), {"A": "x"}) as files:
        assert files.variables == {} and list(tmp_path.iterdir()) == []


def test_they_belong_to_the_user_of_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, int, int]] = []
    monkeypatch.setattr(
        "remote_agent.shim.secret_files.chown_tree", lambda *what: given.append(what)
    )
    with secret_files(order(tmp_path, "A", uid=7, gid=8), {"A": "x"}) as files:
        assert given == [(str(Path(files.variables["A_FILE"]).parent), 7, 8)]


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_a_container_sees_a_folder_that_nobody_else_can_enter(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        one = order(tmp_path, "A", workload="container")
        with secret_files(one, {"A": SECRET}) as files:
            assert files.variables == {"A_FILE": f"{IN_CONTAINER}/A"}
            shared = Path(files.shared)
            assert (shared / "A").read_text() == SECRET
            modes = [stat.S_IMODE(p.stat().st_mode) for p in (shared.parent, shared, shared / "A")]
            # Whoever the container runs as reads it; of the host, only the owner of the outer one.
            assert modes == [0o700, 0o755, 0o444]
        assert list(tmp_path.iterdir()) == []
    finally:
        os.umask(before)


def test_what_cannot_be_written_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OrderError, match=f"cannot be written in {tmp_path}: No space") as caught:
        SecretFiles(order(tmp_path, "A"), {"A": SECRET})
    assert SECRET not in str(caught.value) and list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    with pytest.raises(OrderError, match="No such file or directory"):
        SecretFiles(order(tmp_path / "absent", "A"), {"A": SECRET})


def test_a_folder_that_its_job_moved_away_is_emptied(tmp_path: Path) -> None:
    with secret_files(order(tmp_path, "A"), {"A": SECRET}) as files:
        folder = Path(files.variables["A_FILE"]).parent
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        (folder / "more").mkdir()
    assert list(tmp_path.rglob("*")) == [tmp_path / "moved"]


def test_a_job_reads_it_and_finds_no_variable_with_it(harness: ShimHarness, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    memory.mkdir()
    script = 'cat "$KEY_FILE"; echo " ${KEY-unset}"; ls -ld "$KEY_FILE" >&2; exit 3'
    fields = {"secret_files": ["KEY"], "secret_prefix": f"{memory}/remote-agent-x-"}
    directory = harness.make(["sh", "-c", script], env=dict(ENV), **fields)
    harness.shims.request(directory, {"KEY": "hush"})
    run = Run(directory, harness.ended(directory))
    assert run.code == 3
    assert run.stdout == b"hush unset\n" and run.stderr.startswith(b"-r--------")
    # Whoever hears of the end finds nothing of them.
    assert list(memory.iterdir()) == []


def test_without_the_value_it_is_not_begun(harness: ShimHarness, tmp_path: Path) -> None:
    fields = {"secret_files": ["KEY"], "secret_prefix": f"{tmp_path}/absent/remote-agent-x-"}
    directory = harness.make(["true"], **fields)
    harness.shims.request(directory, {"OTHER": "x"})
    eventually(lambda: "['KEY']" in harness.log())
    harness.shims.request(directory, {"KEY": SECRET})
    record = harness.ended(directory)
    assert (record["exit_code"], record["end_reason"]) == (126, "spawn_error")
    assert "that it takes as files cannot be written in" in record["end_detail"]
    assert SECRET not in harness.log() + record["end_detail"]
