"""Findings, how they are printed, and the exit code."""

from __future__ import annotations

import json

import pytest

from remote_protocol.report import Check, Level, as_json, as_table, exit_code

DISK = Check("disk", Level.STATIC, ("full", "unknown"))
NAME = Check("name", Level.LIVE, ("no_dns",))


def test_only_a_failure_makes_the_exit_code() -> None:
    fine, skipped = DISK.passed("room enough"), NAME.needs("disk")
    assert exit_code([]) == exit_code([fine, skipped]) == 0
    assert exit_code([fine, DISK.failed("full", "a", "b", "c"), skipped]) == 1


def test_a_code_that_the_check_does_not_have_is_a_defect() -> None:
    with pytest.raises(LookupError, match="disk has no code no_dns"):
        DISK.failed("no_dns", "", "", "")
    with pytest.raises(LookupError):
        NAME.skipped("full", "")


def test_json_is_the_contracts_list() -> None:
    findings = [DISK.failed("full", "f", "w", "c"), NAME.needs("disk"), DISK.passed("good")]
    assert json.loads(as_json(findings)) == [
        {"check": "disk", "level": "static", "status": "fail", "finding": "f", "why": "w",
         "cure": "c", "code": "full"},
        {"check": "name", "level": "live", "status": "skip", "finding": "not checked",
         "why": "needs: disk", "cure": "", "code": "earlier_check_failed"},
        {"check": "disk", "level": "static", "status": "pass", "finding": "good", "why": "",
         "cure": "", "code": "ok"},
    ]  # fmt: skip


def test_control_characters_of_a_server_reach_no_terminal() -> None:
    findings = [
        NAME.failed("no_dns", "a\x1b[2J\x9b1m", "b\r\x07", "c\u202e"),
        DISK.passed("\x1b]0;t"),
    ]
    for text in (as_table(findings), as_json(findings)):
        assert not set(text) & set("\x1b\x9b\r\x07\u202e")
    assert "\\x1b[2J\\x9b1m [no_dns]" in as_table(findings)
    assert json.loads(as_json(findings))[0]["finding"] == "a\x1b[2J\x9b1m"


def test_the_table_keeps_levels_apart_and_shows_cause_and_cure() -> None:
    findings = [
        NAME.failed("no_dns", "no such name", "one\ntwo", "mend DNS"),
        DISK.passed("room enough", "not shown"),
        DISK.skipped("unknown", "cannot tell"),
    ]
    assert as_table(findings).split("\n") == [
        "static:",
        "  pass  disk             room enough",
        "  skip  disk             cannot tell",
        "live:",
        "  FAIL  name             no such name [no_dns]",
        "                         why:  one",
        "                               two",
        "                         cure: mend DNS",
        "1 passed, 1 failed, 1 not checked",
    ]
