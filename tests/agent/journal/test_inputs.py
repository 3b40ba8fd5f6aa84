"""Copies of inputs on a disk: appended at their offset, ended, measured; a full disk waits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote_agent.journal import Journal
from remote_agent.journal.inputs import InputFiles, measure
from remote_agent.session.input_copy import InputCopy
from remote_agent.shim.layout import INPUT
from remote_protocol.attempt_id import AttemptId
from tests.agent.conftest import Offers

KEY = AttemptId("01ARYZ6S410000000000000000", 1)


@pytest.fixture
def files(tmp_path: Path) -> InputFiles:
    (tmp_path / str(KEY)).mkdir()
    return InputFiles(lambda key: tmp_path / str(key), 0)


def test_pieces_are_put_together(files: InputFiles, tmp_path: Path) -> None:
    place = tmp_path / str(KEY)
    assert measure(place) == InputCopy()
    assert files.append(KEY, 0, memoryview(b"hello "))
    assert files.append(KEY, 6, memoryview(b"world"))
    assert (place / INPUT).read_bytes() == b"hello world"
    assert (place / INPUT).stat().st_mode & 0o777 == 0o600
    assert measure(place) == InputCopy(11)
    assert files.end(KEY, 11)
    assert measure(place) == InputCopy(11, ended=True)


def test_what_a_failed_write_has_left_is_written_over(files: InputFiles, tmp_path: Path) -> None:
    files.append(KEY, 0, memoryview(b"abcXX"))
    files.append(KEY, 3, memoryview(b"defg"))
    assert (tmp_path / str(KEY) / INPUT).read_bytes() == b"abcdefg"


def test_an_end_that_does_not_fit_the_copy_is_none(files: InputFiles, tmp_path: Path) -> None:
    files.append(KEY, 0, memoryview(b"abc"))
    files.end(KEY, 5)
    assert measure(tmp_path / str(KEY)) == InputCopy(3)


def test_below_the_reserve_nothing_is_written(
    files: InputFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files.reserve = 1 << 62
    assert not files.append(KEY, 0, memoryview(b"abc"))
    assert not files.append(KEY, 0, memoryview(b"abc"))
    assert not (tmp_path / str(KEY) / INPUT).exists()
    assert (
        capsys.readouterr().out.count("the input of a job waits: the disk does not take it") == 1
    ), "said once"
    files.reserve = 0
    assert files.append(KEY, 0, memoryview(b"abc"))


def test_an_attempt_that_is_gone_is_no_trouble(files: InputFiles) -> None:
    gone = AttemptId(KEY.job, 2)
    assert not files.append(gone, 0, memoryview(b"abc"))
    assert not files.end(gone, 0)
    files.forget(gone)


def test_a_settled_attempt_keeps_no_input(journal: Journal, offers: Offers) -> None:
    offer = offers(["cat"], stdin=True)
    journal.store(offer)
    key = offer.attempt
    place = journal.path(key)
    journal.inputs.append(key, 0, memoryview(b"abc"))
    journal.inputs.end(key, 3)
    (place / "output.log").write_bytes(b"its log")
    journal.settle(key)
    assert sorted(os.listdir(place)) == ["artifacts", "output.log", "settled"]


def test_a_directory_with_an_input_is_not_used_again(journal: Journal, offers: Offers) -> None:
    offer = offers(["cat"], stdin=True)
    journal.store(offer)
    key = offer.attempt
    journal.inputs.append(key, 0, memoryview(b"secret"))
    journal.settle(key)
    assert not journal.path(key).exists()
    journal.prepare()
    other = offers()
    journal.store(other)
    assert not (journal.path(other.attempt) / INPUT).exists()
