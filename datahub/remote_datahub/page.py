"""What the server's pages show of DataHub jobs: the recipe, and the report as tables. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from remote_datahub.recipe import line_of
from remote_datahub.report import ARTIFACT, Report, report_of
from remote_server.web.pages.kinds import Row, Shown, Table


def words(job: Any) -> str:
    """What it runs, as one line."""
    return line_of(job.recipe, job.task)


def shown(job: Any) -> Shown:
    """What its page shows."""
    report = report_of(job.outputs)
    return Shown("recipe", job.recipe, list(_facts(job)), [] if report is None else _tables(report))


def _facts(job: Any) -> Iterator[tuple[str, str]]:
    yield "Task", "try the connection" if job.task == "TEST_CONNECTION" else "ingest"
    if job.environment is not None:
        yield "DataHub", f"as the agent's environment {job.environment} has it"
    else:
        yield "DataHub", job.version or "the agent's version"
        yield "Plugins", ", ".join(job.plugins) or "those of source and sink"
    if job.requirements:
        yield "Requires", ", ".join(line.split(" --hash")[0] for line in job.requirements[:50])
    if job.debug:
        yield "Debug", "yes"


def _tables(report: Report) -> list[Table]:
    figures = [Row((name, value)) for name, value in report.figures]
    tables = [Table("report", "Ingestion report", f"{report.words}.", rows=figures)]
    if report.findings:
        rows = [
            Row(
                (one.title or one.message, one.message, one.context, str(one.times)),
                "failed" if one.failed else "warning",
            )
            for one in report.findings
        ]
        more = f"{report.left_out} more" if report.left_out else "All of them"
        note = f"{more}: {ARTIFACT} among the artifacts has the whole report."
        columns = ("What", "Message", "Where", "Times")
        tables.append(Table("findings", "Failures and warnings", note, columns, rows))
    return tables
