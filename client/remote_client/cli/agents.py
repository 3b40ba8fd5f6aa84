"""`remotectl agent`: look at agents and steer them."""

from __future__ import annotations

import sys
from typing import Any

import click

from remote_client import __version__
from remote_client.cli.agent_view import COLUMNS, differ, other_versions, print_agent
from remote_client.cli.completed import completed
from remote_client.cli.options import (
    DURATION,
    NAME,
    PAIR,
    Group,
    Look,
    list_options,
    output_option,
    secret_file,
)
from remote_client.cli.output import (
    note,
    place_for_secret,
    print_json,
    stdout,
)
from remote_client.cli.session import Session, pass_session
from remote_client.cli.table import print_list
from remote_client.cli.watch import write_all
from remote_client.errors import ClientError, UsageError
from remote_client.transport import Document


@click.group(cls=Group)
def agent() -> None:
    """List agents, show, pause, drain, restart, change and remove them.

    \b
    Examples:
      remotectl agent list
      remotectl agent pause web-7 --comment 'disk replacement'
    """


@agent.command("list")
@list_options
@pass_session
def list_agents(session: Session, look: Look) -> None:
    """All agents, their queues and what they do.

    \b
    Examples:
      remotectl agent list
      remotectl agent list --output json | jq -r '.items[] | select(.state != "online") | .name'
    """
    page = session.calls.every("agents")
    print_list(
        page,
        COLUMNS,
        look,
        "No agents are registered. Make a token for one: remotectl registration-token create",
    )
    if look.output != "json" and not look.quiet and differ(page["items"], __version__):
        _note_versions(session, page["items"])


def _note_versions(session: Session, items: list[Document]) -> None:
    try:
        version = str(session.calls.page("version")["version"])
    except (ClientError, KeyError):
        return
    if words := other_versions(items, version):
        note(words)


@agent.command()
@click.argument("name", type=NAME, shell_complete=completed("agents"))
@output_option
@pass_session
def show(session: Session, name: str, output: str) -> None:
    """One agent.

    \b
    Example:
      remotectl agent show web-7
    """
    print_agent(session.calls.one("agents", name), output)


@agent.command()
@click.argument("name", type=NAME, shell_complete=completed("agents"))
@click.option("--comment", default="", help="Why; shown wherever the agent is shown.")
@output_option
@pass_session
def pause(session: Session, name: str, comment: str, output: str) -> None:
    """Give an agent no new jobs, until resume. Kept over restarts.

    \b
    Example:
      remotectl agent pause web-7 --comment 'disk replacement'
    """
    _done(
        session.calls.ask_agent(name, "pause", {"comment": comment}),
        output,
        "is paused; its running jobs go on",
    )


@agent.command()
@click.argument("name", type=NAME, shell_complete=completed("agents"))
@output_option
@pass_session
def resume(session: Session, name: str, output: str) -> None:
    """Take pause and drain back.

    \b
    Example:
      remotectl agent resume web-7
    """
    _done(session.calls.ask_agent(name, "resume"), output, "takes jobs again")


@agent.command()
@click.argument("name", type=NAME, shell_complete=completed("agents"))
@click.option("--deadline", type=DURATION, help="Cancel what still runs then, e.g. 1h.")
@output_option
@pass_session
def drain(session: Session, name: str, deadline: float | None, output: str) -> None:
    """Let an agent finish its jobs, then exit.

    \b
    Examples:
      remotectl agent drain web-7
      remotectl agent drain web-7 --deadline 1h
    """
    view = session.calls.ask_agent(name, "drain", {"deadline": deadline})
    _done(view, output, "drains: it exits when it is empty")


@agent.command()
@click.argument("name", type=NAME, shell_complete=completed("agents"))
@output_option
@pass_session
def restart(session: Session, name: str, output: str) -> None:
    """Restart an agent; its jobs run on.

    Its program ends and starts again, and reads its configuration anew. An agent that is offline
    does so when it comes back, unless it was started anew meanwhile.

    \b
    Example:
      remotectl agent restart web-7
    """
    view = session.calls.ask_agent(name, "restart")
    offline = view.get("state") == "offline"
    _done(view, output, _WHEN_BACK if offline else "restarts; its jobs run on")


_WHEN_BACK = "is offline: it restarts when it comes back, unless it was started anew meanwhile"


@agent.command()
@click.argument("name", type=NAME, shell_complete=completed("agents"))
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes.")
@click.option("--tail", type=click.IntRange(min=0), metavar="N", help="Only the last N lines.")
@pass_session
def logs(session: Session, name: str, follow: bool, tail: int | None) -> None:
    """An agent's own log, as far as the server has it.

    The server keeps its newest part; all of it is on the host: remote-agent logs.

    \b
    Examples:
      remotectl agent logs web-7 --tail 20
      remotectl agent logs -f web-7
    """
    for piece in session.calls.agent_log(name, tail, follow):
        write_all(stdout(), piece)


@agent.command("set")
@click.argument("name", type=NAME, shell_complete=completed("agents"))
@click.option(
    "--queue",
    "queues",
    multiple=True,
    type=NAME,
    shell_complete=completed("queues"),
    help="Replaces all queues.",
)
@click.option("--label", "labels", multiple=True, type=PAIR, help="Replaces all labels.")
@click.option("--capacity", metavar="N", help="Jobs at a time, or default=4,monitors=10 by queue.")
@output_option
@pass_session
def change(
    session: Session,
    name: str,
    queues: tuple[str, ...],
    labels: tuple[tuple[str, str], ...],
    capacity: str | None,
    output: str,
) -> None:
    """Change an agent's queues, labels or capacity; applied live.

    \b
    Examples:
      remotectl agent set web-7 --queue default --queue berlin
      remotectl agent set web-7 --capacity default=4,monitors=10 --label gpu=true
    """
    change: dict[str, Any] = {}
    if queues:
        change["queues"] = list(queues)
    if labels:
        change["labels"] = dict(labels)
    if capacity is not None:
        change["capacity"] = _capacity(capacity)
    if not change:
        raise UsageError("Nothing to change: give --queue, --label or --capacity")
    _done(session.calls.change("agents", name, change), output, "is changed")


def _capacity(text: str) -> dict[str, int]:
    if _is_count(text):
        return {"default": int(text)}
    parts = [part.partition("=") for part in text.split(",")]
    if not all(name.strip() and _is_count(number) for name, _, number in parts):
        raise UsageError(
            f"--capacity: {text!r} is neither a number of jobs nor a list like "
            "default=4,monitors=10"
        )
    found = {name.strip(): int(number) for name, _, number in parts}
    if len(found) < len(parts):
        raise UsageError(f"--capacity: {text!r} names a class twice")
    return found


def _is_count(text: str) -> bool:
    return text.strip().isdecimal() and len(text.strip()) <= 6


@agent.command("rotate-token")
@click.argument("name", type=NAME, shell_complete=completed("agents"))
@secret_file
@output_option
@pass_session
def rotate_token(session: Session, name: str, output_file: str | None, output: str) -> None:
    """Give an agent a new token; the old one ends at once.

    \b
    Example:
      remotectl agent rotate-token web-7
    """
    with place_for_secret(output_file) as keep:
        created = session.calls.rotate_agent_token(name)
        if output == "json" and output_file is None:
            print_json(created)
            return
        note(
            f"the old token of {name} is void; on its host: remote-agent register --token-file FILE"
        )
        keep(created["token"])


@agent.command()
@click.argument("name", type=NAME, shell_complete=completed("agents"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def delete(session: Session, name: str, yes: bool) -> None:
    """Remove an agent and its token; attempts that it holds are lost.

    \b
    Examples:
      remotectl agent delete web-7
      remotectl agent delete web-7 --yes
    """
    view = session.calls.one("agents", name)
    if not yes:
        _confirm(view)
    session.calls.delete("agents", name)
    note(f"{name} is deleted")


def _confirm(view: Document) -> None:
    """Ask on a terminal; in a script, refuse to end jobs without --yes."""
    name, running = view["name"], view.get("running")
    if sys.stdin is None or not sys.stdin.isatty():
        if running:
            raise UsageError(f"{name} runs {running} jobs, which would be lost; give --yes")
        return
    what = f"runs {running} jobs" if running else f"is {view.get('state')}"
    click.confirm(f"{name} {what}; delete it all the same?", abort=True, err=True)


def _done(view: Document, output: str, words: str) -> None:
    if output == "json":
        print_json(view)
    else:
        note(f"{view['name']} {words}")
