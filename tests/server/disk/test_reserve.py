"""The room that logs must leave: one disk that is as full as a test wants it."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from remote_protocol.errors import ErrorCode
from remote_server.disk.reserve import Disk, DiskLow, Reserve
from remote_server.logs import LogUnavailable
from remote_server.logs.local.store import FileLogs
from tests.support.log_keys import new_key

MIB = 1 << 20


class Place:
    """A disk of 100 MiB with a reserve of 4, and a clock."""

    def __init__(self, root: Path, wanted: int = 4 * MIB) -> None:
        self.free, self.at, self.asked = 50 * MIB, 0.0, 0
        self.reserve = Reserve(root, wanted, self._measure, lambda: self.at)

    def _measure(self) -> Disk:
        self.asked += 1
        return Disk(100 * MIB, self.free)

    def later(self, free: int) -> str:
        self.free, self.at = free, self.at + 1
        return self.reserve.lack()


def test_below_the_reserve_it_says_so_once(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with capture_logs() as said:
        assert place.later(4 * MIB) == ""
        lack = place.later(4 * MIB - 1)
        assert (
            lack == f"the server's disk is below its reserve: 4.0 MiB free of 4.0 MiB in {tmp_path}"
        )
        assert place.later(1 * MIB)
        # A little above is not enough, or it would come and go with every byte.
        assert place.later(4 * MIB + 1000)
        assert place.later(5 * MIB) == ""
    assert [line["log_level"] for line in said] == ["warning", "info"]


def test_a_small_disk_has_a_small_reserve(tmp_path: Path) -> None:
    place = Place(tmp_path, 1 << 30)
    assert place.later(6 * MIB) == ""
    assert place.later(4 * MIB)


def test_the_disk_is_asked_seldom_unless_much_was_written(tmp_path: Path) -> None:
    place = Place(tmp_path)
    for _ in range(10):
        place.reserve.lack()
        place.reserve.written(1000)
    assert place.asked == 1
    place.reserve.written(MIB)
    place.reserve.lack()
    assert place.asked == 2


def test_no_log_byte_is_taken_and_no_job(tmp_path: Path) -> None:
    place = Place(tmp_path)
    logs, key = FileLogs(tmp_path / "logs", place.reserve), new_key()
    assert logs.append(key, b"one") == 3
    place.later(0)
    with pytest.raises(LogUnavailable, match="below its reserve"):
        logs.append(key, b"two")
    with pytest.raises(DiskLow, match="no jobs are taken until there is room") as refused:
        place.reserve.require()
    assert refused.value.code is ErrorCode.STORE_UNAVAILABLE
    assert (logs.length(key), logs.read(key, 0, 9)) == (3, b"one")
    place.later(50 * MIB)
    place.reserve.require()
    assert logs.append(key, b"two") == 6
    logs.close()


def test_a_real_disk_is_measured(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path, 1)
    assert reserve.lack() == ""
    assert reserve.free > 0


def test_a_disk_that_does_not_answer_is_no_full_one(tmp_path: Path) -> None:
    assert Reserve(tmp_path / "absent", 1 << 30).lack() == ""
