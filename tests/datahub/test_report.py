"""Reports as jobs' outputs have them."""

from __future__ import annotations

import json

import pytest

from remote_datahub.report import Finding, report_of

OUTPUTS = {
    "status": "FAILURE",
    "source": "mysql",
    "sink": "datahub-rest",
    "events_produced": "31",
    "records_written": "30",
    "warnings": "7",
    "failures": "1",
    "seconds": "4.2",
    "findings": json.dumps(
        {
            "failures": [{"title": "Lost", "message": "It is gone", "context": "db.t", "count": 1}],
            "warnings": [{"title": "Odd", "message": "Odd", "context": "", "count": 3}],
        }
    ),
}


def test_figures_and_findings() -> None:
    report = report_of(OUTPUTS)
    assert report is not None and (report.status, report.words) == ("FAILURE", "Failed")
    assert report.figures == [
        ("Source", "mysql"),
        ("Sink", "datahub-rest"),
        ("Events read", "31"),
        ("Records written", "30"),
        ("Failures", "1"),
        ("Warnings", "7"),
        ("Ran", "4.2 s"),
    ]
    assert report.findings == [
        Finding(True, "Lost", "It is gone", "db.t", 1),
        Finding(False, "Odd", "Odd", "", 3),
    ]
    assert report.left_out == 4


@pytest.mark.parametrize("outputs", [{}, {"status": "SUCCESS"}, {"seconds": "3"}])
def test_other_outputs_are_no_report(outputs: dict[str, str]) -> None:
    assert report_of(outputs) is None


@pytest.mark.parametrize(
    "findings",
    ["{", "[]", "3", "[" * 100_000, '{"failures": 3}', '{"failures": [3]}'],
)
def test_what_a_job_has_written_may_be_anything(findings: str) -> None:
    report = report_of({**OUTPUTS, "findings": findings, "failures": "x" * 50})
    assert report is not None and report.findings == []
    report = report_of({**OUTPUTS, "findings": '{"failures": [{"count": "9", "title": 3}]}'})
    assert report is not None and report.findings == [Finding(True, "3", "", "", 9)]


def test_what_no_page_can_hold_is_spelled_out() -> None:
    """JSON can name half a character, which no text in UTF-8 has."""
    report = report_of({**OUTPUTS, "findings": r'{"failures": [{"title": "\ud800\u001b[2J"}]}'})
    assert report is not None
    assert report.findings == [Finding(True, r"\ud800\x1b[2J", "", "", 1)]
