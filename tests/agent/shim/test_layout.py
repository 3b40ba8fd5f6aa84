"""The names of an attempt's directory are those of its contract."""

from __future__ import annotations

from pathlib import Path

from remote_agent import spool
from remote_agent.shim import layout
from remote_agent.shim.order import Order

CONTRACT = Path(__file__).parents[3] / "docs" / "attempt-directory.md"


def test_the_contract_names_everything() -> None:
    text = CONTRACT.read_text()
    names = [
        value
        for name, value in vars(layout).items()
        if name.isupper() and not name.endswith("VERSION")
    ]
    for name in [*names, spool.LIVE, spool.CHECKSUMS]:
        assert f"`{name}`" in text, name
    for field in Order._fields:
        assert f"`{field}`" in text, field


def test_names_differ() -> None:
    names = [value for name, value in vars(layout).items() if name.isupper()]
    assert len(names) == len(set(names))
