"""`remotectl datahub`: run a recipe, show the report of one. Reads files, calls the API, prints."""

from __future__ import annotations

import os
from typing import Any, Final

import click

from remote_client.cli.completed import completed
from remote_client.cli.interrupts import INTERRUPTED
from remote_client.cli.job_spec import job_spec, send_first
from remote_client.cli.options import (
    DURATION,
    NAME,
    PAIR,
    SIZE,
    Command,
    Group,
    output_option,
)
from remote_client.cli.output import note, print_json
from remote_client.cli.session import Session, pass_session
from remote_client.cli.submitted import OURS, run_job
from remote_client.errors import ClientError, UsageError
from remote_client.transport import Document
from remote_datahub.recipe import MAX_RECIPE, Recipe, RecipeError, parse, passwords
from remote_datahub.report import ARTIFACT, report_of
from remote_datahub.shown import print_report
from remote_protocol.printable import printable
from remote_protocol.units import format_size

_GMS: Final = "DATAHUB_GMS_URL"
_EPILOG: Final = """\b
Exit code: 0 the recipe succeeded, or the source can be reached; 1 not; 124 timeout; 125 it could
not be run, or lacked a secret; 130 cancelled; 255 remotectl itself failed; 2 the call is wrong.
\b
Examples:
  remotectl datahub ingest recipe.yml
  remotectl datahub ingest recipe.yml --queue berlin --test-connection
  remotectl datahub ingest recipe.yml --cli-version 1.7.0.17 --plugin mysql --detach
  envsubst <recipe.tpl | remotectl datahub ingest - --secret DATAHUB_GMS_TOKEN
"""


@click.group(cls=Group)
def datahub() -> None:
    """Run recipes of DataHub's ingestion, and show what became of them.

    \b
    Examples:
      remotectl datahub ingest recipe.yml --queue berlin
      remotectl datahub report @last
    """


@datahub.command(cls=Command, epilog=_EPILOG)
@click.argument("recipe", metavar="RECIPE.yml|-")
@click.option(
    "--queue",
    envvar="REMOTE_QUEUE",
    metavar="POOL",
    shell_complete=completed("queues"),
    help="Where it waits for an agent: DataHub's pool; default: the server's default queue. "
    "[env: REMOTE_QUEUE]",
)
@click.option("--agent", type=NAME, shell_complete=completed("agents"), help="Only this agent.")
@click.option("--name", help="A name for people.")
@click.option("--test-connection", is_flag=True, help="Only try the connection of the source.")
@click.option("--cli-version", metavar="V", help="Version of acryl-datahub (default: the agent's).")
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="P",
    help="Plugin of acryl-datahub, instead of those that source and sink need.",
)
@click.option(
    "--requirement", "requirements", multiple=True, metavar="R", help="A further package."
)
@click.option(
    "--environment",
    metavar="NAME",
    help="A prepared environment of the agent, instead of one that is made.",
)
@click.option("--debug", is_flag=True, help="Have DataHub say all that it does.")
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="NAME[:file]",
    help="A secret as a variable of the job; those that the recipe names as ${NAME} are given to "
    "it anyway.",
)
@click.option(
    "--env", "-e", "env", multiple=True, metavar="K[=V]", help="A variable, also for the recipe."
)
@click.option("--label", multiple=True, type=PAIR, help="A label that the agent must have.")
@click.option(
    "--file", "files", multiple=True, metavar="LOCAL[:REMOTE]", help="A file for the job."
)
@click.option("--timeout", type=DURATION, help="The longest that it may run, e.g. 2h.")
@click.option("--grace-period", type=DURATION, help="Between polite signal and kill (default 60s).")
@click.option("--memory", type=SIZE, help="The most memory that it may use, e.g. 4GiB.")
@click.option(
    "--weight", type=click.FloatRange(0, 1, min_open=True), help="Share of the agent's capacity."
)
@click.option("--priority", type=int, default=0, help="Higher goes first.")
@click.option("--expires-in", type=DURATION, help="Give up when it has not started by then.")
@click.option("--detach", is_flag=True, help="Print the job's id and leave it alone.")
@click.option(
    "--cancel-on-broken-pipe", is_flag=True, help="Cancel it when nobody reads its output any more."
)
@output_option
@click.pass_obj
def ingest(
    session: Session,
    /,
    recipe: str,
    test_connection: bool,
    cli_version: str | None,
    debug: bool,
    detach: bool,
    cancel_on_broken_pipe: bool,
    output: str,
    **options: Any,
) -> int:
    """Run a recipe on an agent and stream what DataHub prints.

    RECIPE is a file in YAML or JSON, or - for standard input. ${NAME} in it is a variable of --env,
    or else a secret, which the agent or the server has: its value goes into the recipe in memory
    only. Ctrl-C cancels.
    """
    session.failed = OURS
    text = _read(recipe)
    label = "standard input" if recipe == "-" else recipe
    try:
        found = parse(text)
    except RecipeError as error:
        raise UsageError(f"{label}: {error}") from None
    _warn(found, label, [*options["secrets"], *options["env"]], test_connection)
    contents: list[Any] = []
    spec = _spec(text, options, contents)
    if contents and not send_first(session, contents):
        return INTERRUPTED
    spec["task"] = "TEST_CONNECTION" if test_connection else "RUN_INGEST"
    if cli_version is not None:
        spec["version"] = cli_version
    if debug:
        spec["debug"] = True
    title = spec.get("name") or (os.path.basename(recipe) if recipe != "-" else found.source)
    return run_job(
        session,
        spec,
        str(title),
        detach=detach,
        cancel_on_broken_pipe=cancel_on_broken_pipe,
        output=output,
    )


@datahub.command()
@click.argument("job", shell_complete=completed("jobs"))
@output_option
@pass_session
def report(session: Session, job: str, output: str) -> None:
    """The report of a recipe's job: figures, failures, warnings.

    \b
    Examples:
      remotectl datahub report @last
      remotectl datahub report @last --output json
    """
    view = session.calls.job(session.job_id(job))
    found = report_of(view.get("outputs") or {})
    if found is None:
        raise ClientError(_why_missing(view))
    if output == "json":
        print_json({"status": found.status, **view["outputs"]})
        return
    print_report(found, ("Job", str(view["id"])))
    if found.left_out:
        note(
            f"{found.left_out} more are in the whole report: "
            f"remotectl job artifacts get {view['id']} {ARTIFACT}"
        )


def _spec(text: str, options: dict[str, Any], contents: list[Any]) -> Document:
    """The job's document; options that all jobs have are read as `run` reads them."""
    own = {name: options.pop(name) for name in ("plugins", "requirements", "environment")}
    # `run` wants something to run: it is taken out again.
    spec = job_spec({**options, "script": None, "spec": None, "command": ("datahub",)}, contents)
    del spec["command"]
    spec |= {"kind": "datahub", "recipe": text}
    for name in ("plugins", "requirements"):
        if own[name]:
            spec[name] = list(own[name])
    if own["environment"]:
        spec["environment"] = own["environment"]
    return spec


def _read(name: str) -> str:
    most = MAX_RECIPE * 4
    if name == "-":
        from remote_client.cli.stdin import read_all

        data = read_all("RECIPE", most)
    else:
        try:
            with open(name, "rb") as file:
                data = file.read(most + 1)
        except OSError as error:
            raise UsageError(f"{name}: {error.strerror}") from None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not text in UTF-8, as recipes are") from None
    if len(text) > MAX_RECIPE:
        raise UsageError(f"{name} is longer than {format_size(MAX_RECIPE)}, too long for a recipe")
    return text


def _warn(found: Recipe, name: str, given: list[str], test: bool) -> None:
    """What is worth a word before it is submitted."""
    for key in passwords(found):
        suggested = key.rpartition(".")[2].upper()
        note(
            f"warning: {name}: {printable(key)} looks like a secret, and stands in the recipe, "
            f"which every viewer can read: write ${{{printable(suggested)}}} instead, and: "
            f"remotectl secret set {printable(suggested)}"
        )
    named = {text.partition("=")[0].partition(":")[0] for text in given}
    if not found.names_sink and not test and _GMS not in named:
        note(
            f"warning: {name} names no sink: DataHub's server is used, which a variable of the job "
            f"names: --env {_GMS}=URL"
        )


def _why_missing(view: Document) -> str:
    job, state = view.get("id"), view.get("state")
    if view.get("kind") != "datahub":
        return f"job {job} ran no recipe; see: remotectl job show {job}"
    if state in ("queued", "assigned", "running"):
        return f"job {job} is {state}; its report comes with its end: remotectl job wait {job}"
    detail = f": {view['end_detail']}" if view.get("end_detail") else ""
    return f"job {job} has no report{detail}; its log says more: remotectl job logs {job}"
