"""Settled ends are kept, within bounds, through restarts and rubbish."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote_agent.journal import ledger as module
from remote_agent.journal.ledger import Ledger
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Ended
from remote_protocol.states import EndReason
from tests.support.fake_server import new_key


def ended(key: AttemptId, code: int = 0) -> Ended:
    return Ended(
        attempt=key,
        exit_code=code,
        end_reason=EndReason.EXIT,
        size=7,
        checksum=9,
        ended_at=1.0,
    )


def test_ends_outlive_the_agent(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    ledger = Ledger(tmp_path)
    assert ledger.keys() == []
    ledger.add(ended(first))
    ledger.close()
    ledger = Ledger(tmp_path)
    ledger.add(ended(second, code=3))
    ledger.add(ended(first, code=4))
    assert ledger.keys() == [first, second]
    assert ledger.find({first, new_key()}) == [ended(first, code=4)]
    assert (tmp_path / module.NAME).stat().st_mode & 0o777 == 0o600


def test_only_the_newest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST", 1000)
    monkeypatch.setattr(module, "MAX_RECALLED", 5)
    keys = [new_key() for _ in range(30)]
    ledger = Ledger(tmp_path)
    for key in keys:
        ledger.add(ended(key))
    assert ledger.keys() == keys[-5:]
    assert len(ledger.find(set(keys))) < 20
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2500


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    first, second = new_key(), new_key()
    ledger = Ledger(tmp_path)
    ledger.add(ended(first))
    with (tmp_path / module.NAME).open("ab") as file:
        file.write(b'{"job":"01\n')
    ledger.add(ended(second))
    assert ledger.keys() == [first, second]


def test_a_disk_that_refuses_is_borne(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "missing")
    ledger.add(ended(new_key()))
    assert ledger.keys() == []
    (tmp_path / module.NAME).mkdir()
    assert Ledger(tmp_path).keys() == []
