"""Runs a recipe of DataHub in this process, and says what became of it.

    python -u extension.py < PAYLOAD

It runs as the job, in an environment with acryl-datahub: a copy of this file lies beside the job's
other files. So it uses the standard library and that package only, for any Python from 3.9 on.

The payload is a line of JSON, after another one with the secrets that the recipe names, if it
names any. They are put into the recipe in this process's memory, by DataHub's own command line,
and reach no variable, no argument and no file. DataHub's report is kept in memory, too, until the
values of secrets are taken out of it; then it is the artifact `ingestion_report.json`. Its figures
become outputs of the job.
"""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

NEVER_BEGAN = 125
"""Exit code when the recipe could not be begun."""
REPORT = "ingestion_report.json"
_FAILURE = "environment.failed"
_HIDDEN = "*****"
_SHORTEST = 4
"""Characters of a secret that is taken out of a report."""
_ENTRIES = 40
"""Warnings, and failures, that the output `findings` has."""
_LONGEST = 500
_FINDINGS = 24 * 1024
"""Characters of that output."""
_REASON = 1500


class NeverBegan(Exception):
    """The recipe cannot be run; the text is a sentence."""


def main() -> int:
    """Run what standard input says; the exit code."""
    lines = sys.stdin.buffer.read().splitlines()
    told = json.loads(lines[-1])
    secrets = json.loads(lines[0]) if len(lines) > 1 else {}
    hide = hider(
        [*secrets.values(), *(os.environ.get(name, "") for name in told.get("masked", ()))]
    )
    try:
        if "fault" in told:
            raise NeverBegan(told["fault"])
        return run(told, secrets, hide)
    except NeverBegan as reason:
        words = hide(str(reason))[:_REASON]
        say(words)
        # Only now: whoever reads this file takes the job for one that has never begun.
        here = os.path.dirname(os.path.abspath(__file__))
        with open(os.path.join(here, _FAILURE), "w", encoding="utf-8", errors="replace") as file:
            file.write(words)
        return NEVER_BEGAN


def run(told: dict[str, Any], secrets: dict[str, str], hide: Callable[[str], str]) -> int:
    """Run DataHub's command line; its exit code, or 1 for a connection that failed. NeverBegan."""
    # What it would tell its makers, and ask them, is the host's business only.
    os.environ.setdefault("DATAHUB_TELEMETRY_ENABLED", "false")
    signal.signal(signal.SIGTERM, _stop)
    began = time.monotonic()
    test = told.get("task") == "TEST_CONNECTION"
    try:
        from datahub._version import __version__ as version
        from datahub.entrypoints import datahub as command
    except ImportError as error:
        raise NeverBegan(f"acryl-datahub cannot be loaded in this environment: {error}") from None
    say(f"acryl-datahub {version} {'tries the connection of' if test else 'runs'} the recipe")
    _ask_nobody_for_versions()
    pipelines = _watch_pipelines()
    with ReportFile() as place:
        words = ["--debug"] if told.get("__debug_mode__") == "true" else []
        words += ["ingest", "run", "-c", "-", "--report-to", place.path]
        words += ["--test-source-connection"] if test else ["--no-spinner"]
        sys.stdin = io.StringIO(envelope(told, secrets, place.path))
        code, reason = _call(command, words)
        if reason is not None and not pipelines:
            raise NeverBegan(reason)
        # The one that it writes itself is made before its sink has counted all records.
        report = _report_of(pipelines) or place.read()
    if report is not None:
        code = tell(report, test, code, time.monotonic() - began, hide)
    return code


def envelope(told: dict[str, Any], secrets: dict[str, str], report: str) -> str:
    """What the command line reads: the recipe beside its secrets, or with them in it, for versions
    that know no secrets beside it."""
    recipe = told["__recipe_yaml__"]
    if not secrets:
        return str(recipe)
    try:
        from datahub.configuration.config_loader import parse_recipe_envelope  # noqa: F401
    except ImportError:
        return _resolved(recipe, secrets)
    document = {"__recipe_yaml__": recipe, "__secrets__": secrets, "__report_out_file__": report}
    return json.dumps({**document, "__debug_mode__": told.get("__debug_mode__", "false")})


def _resolved(recipe: str, secrets: dict[str, str]) -> str:
    import yaml

    def put_in(value: Any) -> Any:
        if isinstance(value, str):
            return re.sub(r"\$\{(\w+)\}", lambda m: secrets.get(m[1], m[0]), value)
        if isinstance(value, list):
            return [put_in(part) for part in value]
        if isinstance(value, dict):
            return {name: put_in(part) for name, part in value.items()}
        return value

    return json.dumps(put_in(yaml.safe_load(recipe)), default=str)


def _call(command: Any, words: list[str]) -> tuple[int, str | None]:
    """The exit code of DataHub's command line, and its reason if it ended by an exception."""
    try:
        command.main(words, prog_name="datahub", standalone_mode=False)
    except SystemExit as end:
        return (end.code if isinstance(end.code, int) else 0 if end.code is None else 1), None
    except KeyboardInterrupt:
        return 130, None
    except Exception as error:
        words_ = getattr(error, "format_message", error.__str__)() or type(error).__name__
        cause = error.__cause__
        if cause is not None and str(cause) and str(cause) not in words_:
            words_ += f": {cause}"
        # Half of a token would be a hint at all of it.
        words_ = re.sub(r"(with token: )\S+", rf"\1{_HIDDEN}", words_)
        reason = " ".join(part.strip() for part in words_.splitlines() if part.strip())
        return 1, reason.replace("For further information visit", "See")
    return 0, None


def _stop(number: int, frame: Any) -> None:
    """Ends the pipeline as DataHub does itself, so that it closes its sink and reports."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("cancelled: DataHub closes its source and its sink")
    sys.exit(128 + number)


def _ask_nobody_for_versions() -> None:
    """At its end the command line would ask a package index for newer versions of itself."""
    try:
        from datahub.upgrade import upgrade

        upgrade.check_upgrade_post = lambda *arguments, **more: None
    except (ImportError, AttributeError):
        pass


def _watch_pipelines() -> list[Any]:
    """Every pipeline that begins to run, from now on: not all sinks write a report."""
    begun: list[Any] = []
    try:
        from datahub.ingestion.run.pipeline import Pipeline
    except ImportError:
        return begun
    usual = Pipeline.run

    def run_watched(self: Any, *arguments: Any, **more: Any) -> Any:
        begun.append(self)
        return usual(self, *arguments, **more)

    Pipeline.run = run_watched
    return begun


def _report_of(pipelines: list[Any]) -> dict[str, Any] | None:
    for pipeline in pipelines[-1:]:
        try:
            found: dict[str, Any] = json.loads(
                json.dumps(pipeline._get_structured_report(), default=str)
            )
            return found
        except Exception as error:
            say(f"DataHub's report cannot be had: {type(error).__name__}")
    return None


class ReportFile:
    """Where DataHub writes its report: in memory where the system lets it, else in the job's own
    folder for what is temporary."""

    def __enter__(self) -> ReportFile:
        self._file: int | None = None
        if hasattr(os, "memfd_create"):
            self._file = os.memfd_create("report")
            self.path = f"/proc/self/fd/{self._file}"
        else:
            self.path = os.path.join(os.environ.get("TMPDIR", "."), REPORT)
        return self

    def read(self) -> dict[str, Any] | None:
        """What is in it, if that is a report."""
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
        elif os.path.exists(self.path):
            os.unlink(self.path)


def tell(
    report: dict[str, Any], test: bool, code: int, seconds: float, hide: Callable[[str], str]
) -> int:
    """Leave the report as artifact and its figures as outputs; the exit code."""
    report = masked(report, hide)
    folder = os.environ.get("REMOTE_ARTIFACTS")
    if folder:
        with open(os.path.join(folder, REPORT), "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1, default=str)
    figures = of_connection(report) if test else of_ingestion(report, code)
    if test and figures["status"] != "CONNECTED":
        code = code or 1
    figures["seconds"] = f"{seconds:.1f}"
    with open(os.environ["REMOTE_OUTPUTS"], "a", encoding="utf-8") as file:
        for name, value in figures.items():
            if value not in (None, ""):
                file.write(f"{name}={hide(str(value))}\n")
    say(summary(figures))
    return code


def of_ingestion(report: dict[str, Any], code: int) -> dict[str, Any]:
    """The figures of an ingestion's report."""
    source, sink = _part(report, "source"), _part(report, "sink")
    read, wrote = _part(source, "report"), _part(sink, "report")
    failures = [*entries(read, "failures"), *entries(wrote, "failures")]
    warnings = [*entries(read, "warnings"), *entries(wrote, "warnings")]
    status = "CANCELLED" if code in (130, 143) else "FAILURE" if code or failures else "SUCCESS"
    return {
        "status": status,
        "source": source.get("type"),
        "sink": sink.get("type"),
        "events_produced": _number(read.get("events_produced")),
        "records_written": _number(wrote.get("total_records_written")),
        "warnings": sum(one["count"] for one in warnings),
        "failures": sum(one["count"] for one in failures),
        "findings": findings(failures, warnings),
    }


def of_connection(report: dict[str, Any]) -> dict[str, Any]:
    """The figures of a test of a connection."""
    basic = _part(report, "basic_connectivity")
    failures = []
    if report.get("internal_failure"):
        failures.append(_entry("internal failure", report.get("internal_failure_reason")))
    elif not basic.get("capable"):
        failures.append(_entry("connection", basic.get("failure_reason")))
    lacking = [
        _entry(str(name), found.get("failure_reason") or found.get("mitigation_message"))
        for name, found in sorted((report.get("capability_report") or {}).items())
        if isinstance(found, dict) and not found.get("capable")
    ]
    return {
        "status": "NOT_CONNECTED" if failures else "CONNECTED",
        "warnings": len(lacking),
        "failures": len(failures),
        "findings": findings(failures, lacking),
    }


def entries(report: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The failures or warnings of a source or a sink, each with the times that it came."""
    found = report.get(name)
    if isinstance(found, dict):  # of older versions: key and what happened there
        return [_entry(str(key), what) for key, what in found.items()]
    if not isinstance(found, list):
        return []
    made = []
    for one in found:
        if isinstance(one, dict):
            context = one.get("context") or []
            context = context if isinstance(context, list) else [context]
            total = one.get("total_count") or one.get("count") or len(context)
            made.append(
                {
                    "title": _line(one.get("title") or one.get("message")),
                    "message": _line(one.get("message")),
                    "context": _line("; ".join(map(str, context[:3]))),
                    "count": max(1, total if isinstance(total, int) else 1),
                }
            )
        elif isinstance(one, str) and not re.fullmatch(r"\.\.\. sampled .*", one):
            made.append(_entry("", one))
    return made


def _entry(title: str, message: Any) -> dict[str, Any]:
    text = "; ".join(map(str, message)) if isinstance(message, list) else str(message or "")
    return {"title": _line(title), "message": _line(text), "context": "", "count": 1}


def _line(text: Any) -> str:
    return " ".join(str(text or "").split())[:_LONGEST]


def findings(failures: list[dict[str, Any]], warnings: list[dict[str, Any]]) -> str:
    """Both as JSON on one line, the first ones only; empty without any."""
    if not failures and not warnings:
        return ""
    most = _ENTRIES
    while True:
        document = {"failures": failures[:most], "warnings": warnings[:most]}
        text = json.dumps(document, separators=(",", ":"))
        if len(text) <= _FINDINGS:
            return text
        most //= 2


def summary(figures: dict[str, Any]) -> str:
    """A sentence for the log."""
    counts = ", ".join(
        f"{figures[name]} {name.replace('_', ' ')}"
        for name in ("events_produced", "records_written", "warnings", "failures")
        if figures.get(name) is not None
    )
    return f"{figures['status']}: {counts} in {figures['seconds']} s"


def hider(values: list[str]) -> Callable[[str], str]:
    """What takes these values out of a text, the longest ones first."""
    hidden = sorted({value for value in values if len(value) >= _SHORTEST}, key=len, reverse=True)

    def hide(text: str) -> str:
        for value in hidden:
            text = text.replace(value, _HIDDEN)
        return text

    return hide


def masked(value: Any, hide: Callable[[str], str]) -> Any:
    """The same document without values of secrets."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list):
        return [masked(part, hide) for part in value]
    if isinstance(value, dict):
        return {hide(str(name)): masked(part, hide) for name, part in value.items()}
    return value


def _part(document: dict[str, Any], name: str) -> dict[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> int | None:
    """A figure that a report may show with separators."""
    if isinstance(value, str):
        value = value.replace(",", "").replace("_", "")
        return int(value) if value.isdigit() else None
    return value if isinstance(value, int) else None


def say(text: str) -> None:
    """A line of the job's log."""
    sys.stdout.flush()
    os.write(2, f"remote-agent: {text}\n".encode(errors="replace"))


if __name__ == "__main__":
    sys.exit(main())
