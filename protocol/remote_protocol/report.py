"""Reports of the `doctor` commands: findings, how they are printed, and the exit code. Pure.

A check says one of three things: passed, failed with a cause and a cure, or skipped with the
reason.
What was skipped was not looked at: it is never shown as passed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final

from remote_protocol.printable import json_text, printable


class Level(StrEnum):
    """How far a check goes."""

    STATIC = "static"
    """It looks at this host only."""
    LIVE = "live"
    """It asks the server."""


class Status(StrEnum):
    """What came of a check."""

    PASS = "pass"
    FAIL = "fail"
    SKIP = "skip"


PASSED: Final = "ok"
"""The code of every finding that passed."""
EARLIER_FAILED: Final = "earlier_check_failed"
"""The code of a skipped check: what it builds on has failed."""
_WIDTH: Final = 17


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. All texts are for people, `code` is for programs and stays."""

    check: str
    level: Level
    status: Status
    finding: str
    why: str
    cure: str
    code: str


@dataclass(frozen=True, slots=True)
class Check:
    """One check, and every code that its findings can have besides `ok`."""

    name: str
    level: Level
    codes: tuple[str, ...] = ()

    def passed(self, finding: str, why: str = "") -> Finding:
        """All is well; `finding` says what was seen."""
        return Finding(self.name, self.level, Status.PASS, finding, why, "", PASSED)

    def failed(self, code: str, finding: str, why: str, cure: str) -> Finding:
        """Something is wrong. LookupError for a code that the check does not have."""
        return Finding(self.name, self.level, Status.FAIL, finding, why, cure, self._known(code))

    def skipped(self, code: str, why: str) -> Finding:
        """It was not looked at, because of `why`. LookupError as above."""
        known = code if code == EARLIER_FAILED else self._known(code)
        return Finding(self.name, self.level, Status.SKIP, "not checked", why, "", known)

    def needs(self, earlier: str) -> Finding:
        """Skipped, because the check called `earlier` has failed."""
        return self.skipped(EARLIER_FAILED, f"needs: {earlier}")

    def _known(self, code: str) -> str:
        if code not in self.codes:
            raise LookupError(f"the check {self.name} has no code {code}")
        return code


def exit_code(findings: Iterable[Finding]) -> int:
    """0 only when nothing failed, else 1."""
    return int(any(finding.status is Status.FAIL for finding in findings))


def as_json(findings: Sequence[Finding]) -> str:
    """The findings as a JSON list of objects, in their order."""
    return json_text([asdict(finding) for finding in findings])


def as_table(findings: Sequence[Finding]) -> str:
    """The findings for people: a line a check, cause and cure below what failed, levels apart."""
    lines: list[str] = []
    for level in Level:
        of_level = [finding for finding in findings if finding.level is level]
        if of_level:
            lines += [f"{level}:", *(line for one in of_level for line in _lines(one))]
    counts = Counter(finding.status for finding in findings)
    lines.append(
        f"{counts[Status.PASS]} passed, {counts[Status.FAIL]} failed, "
        f"{counts[Status.SKIP]} not checked"
    )
    # Texts of servers and proxies are among them.
    return printable("\n".join(lines))


def _lines(finding: Finding) -> list[str]:
    if finding.status is not Status.FAIL:
        said = finding.finding if finding.status is Status.PASS else finding.why
        return [f"  {finding.status}  {finding.check:<{_WIDTH}}{_indented(said)}"]
    found = [f"  FAIL  {finding.check:<{_WIDTH}}{_indented(finding.finding)} [{finding.code}]"]
    if finding.why:
        found.append(f"{'':<{_WIDTH + 8}}why:  {_indented(finding.why, 6)}")
    return [*found, f"{'':<{_WIDTH + 8}}cure: {_indented(finding.cure, 6)}"]


def _indented(text: str, more: int = 0) -> str:
    return text.replace("\n", "\n" + " " * (_WIDTH + 8 + more))
