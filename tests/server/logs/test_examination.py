"""Logs against their checksums, plain and packed."""

from __future__ import annotations

import os
from pathlib import Path
from zlib import crc32

import pytest

from remote_server.logs.examination import damage
from remote_server.logs.packed import BLOCK, pack

LOG = os.urandom(BLOCK + 1000)
CRC = crc32(LOG)


@pytest.fixture(params=["1.log", "1.log.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def write(path: Path, log: bytes) -> None:
    plain = path.with_name("1.log")
    plain.write_bytes(log)
    if path != plain:
        pack(plain, path)


def test_a_sound_log(path: Path) -> None:
    write(path, LOG)
    assert damage(path, len(LOG), CRC) == ""
    assert damage(path, len(LOG), None) == ""


def test_what_the_server_has_beyond_the_end_is_no_fault(path: Path) -> None:
    write(path, LOG + b"more")
    assert damage(path, len(LOG), CRC) == ""


def test_other_bytes_are_noticed_where_the_checksum_is_known(path: Path) -> None:
    write(path, LOG[:-1] + bytes([LOG[-1] ^ 1]))
    assert "not those that were written" in (damage(path, len(LOG), CRC) or "")
    assert damage(path, len(LOG), None) == ""


def test_a_short_and_a_missing_log(path: Path) -> None:
    assert damage(path, len(LOG), CRC) is None
    write(path, LOG[:500])
    assert damage(path, len(LOG), CRC) == f"has 500 of {len(LOG)} bytes"


def test_a_damaged_block_is_noticed_without_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "1.log.gz"
    write(path, LOG)
    packed = bytearray(path.read_bytes())
    packed[len(packed) // 2] ^= 1
    path.write_bytes(packed)
    assert "cannot be read" in (damage(path, len(LOG), None) or "")
