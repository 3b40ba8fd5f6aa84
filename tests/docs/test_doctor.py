"""The tables of docs/doctor.md name every check with every code that it can have, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from remote_agent.doctor.examination import LIVE, STATIC
from remote_client import doctor as remotectl
from remote_protocol.reachability import steps
from remote_protocol.report import Check

ALL = (*STATIC, *LIVE, *remotectl.STATIC, *remotectl.LIVE)
ROOT = Path(__file__).resolve().parents[2]
_ROW = re.compile(r"^\| ([a-z ,]+) \| `(\w+)` \| .+ \|$", re.MULTILINE)


def table(title: str) -> set[tuple[str, str]]:
    """Pairs of check and code in the section of this title."""
    text = (ROOT / "docs/doctor.md").read_text(encoding="utf-8")
    section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return {(check, code) for checks, code in _ROW.findall(section) for check in checks.split(", ")}


def known(*checks: Check) -> set[tuple[str, str]]:
    return {(check.name, code) for check in checks for code in check.codes}


def test_the_codes_of_the_agents_checks() -> None:
    assert table("Checks of the agent") == known(*STATIC)
    assert table("Live checks") == known(*LIVE)


def test_the_codes_of_remotectls_checks() -> None:
    own = [check for check in (*remotectl.STATIC, *remotectl.LIVE) if check not in steps.CHECKS]
    assert table("remotectl doctor") == known(*own)


def test_every_code_is_injected_in_a_test() -> None:
    """Each failure and each skip was seen: a test expects its code."""
    texts = "".join(
        path.read_text(encoding="utf-8")
        for folder in ("agent/doctor", "agent/cli", "client", "client/cli", "e2e")
        for path in (ROOT / "tests" / folder).glob("*.py")
    )
    codes = {code for check in ALL for code in check.codes}
    # Windows only: no test of this system can see it.
    assert {code for code in codes if f'"{code}"' not in texts} == {"no_posix_programs"}


def test_other_documents_name_codes_that_exist() -> None:
    text = (ROOT / "docs/doctor.md").read_text(encoding="utf-8")
    section = text.partition("## Where you come from")[2]
    codes = {code for check in ALL for code in check.codes}
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", section)) - {"memory_limit", "secret_missing"}
    assert len(named) > 15 and named <= codes
