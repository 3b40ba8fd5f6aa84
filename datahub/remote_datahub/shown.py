"""What `remotectl` prints of DataHub jobs: a line in lists, the report in `job show`. Prints."""

from __future__ import annotations

from remote_client.cli.output import bold, print_fields, say
from remote_client.transport import Document
from remote_datahub.recipe import line_of
from remote_datahub.report import Report, report_of
from remote_protocol.printable import printable


def words(job: Document) -> str:
    """What it runs, as one line."""
    return line_of(str(job.get("recipe") or ""), str(job.get("task") or ""))


def print_details(job: Document) -> None:
    """The report, once there is one."""
    found = report_of(job.get("outputs") or {})
    if found is not None:
        say("")
        say(bold("REPORT"))
        print_report(found)


def print_report(found: Report, *fields: tuple[str, str]) -> None:
    """Figures, then failures and warnings, one below the other."""
    figures = [(name, printable(value)) for name, value in found.figures]
    print_fields([*fields, ("Result", found.words), *figures])
    for failed, title in ((True, "FAILURES"), (False, "WARNINGS")):
        listed = [one for one in found.findings if one.failed is failed]
        if not listed:
            continue
        say("")
        say(bold(title))
        for one in listed:
            times = f" ({one.times} times)" if one.times > 1 else ""
            say(printable(f"{one.title or one.message}{times}"))
            for text in dict.fromkeys((one.message, one.context)):
                if text and text != one.title:
                    say(printable(f"    {text}"))
