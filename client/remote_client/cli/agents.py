"""`remotectl agent`: look at agents and steer them."""

from __future__ import annotations

import click
from pydantic import ValidationError

from remote_client.cli.output import (
    ago,
    note,
    output_option,
    pairs,
    print_fields,
    print_json,
    print_table,
    when,
)
from remote_client.cli.session import Session, pass_session
from remote_client.errors import UsageError, faults
from remote_protocol.api import AgentChange, AgentView
from remote_protocol.units import format_size, parse_duration


@click.group()
def agent() -> None:
    """List agents, show, pause, drain, change and remove them.

    \b
    Examples:
      remotectl agent list
      remotectl agent pause web-7 --comment 'disk replacement'
    """


@agent.command("list")
@output_option
@pass_session
def list_agents(session: Session, output: str) -> None:
    """All agents, their queues and what they do.

    \b
    Examples:
      remotectl agent list
      remotectl agent list --output json | jq -r '.items[] | select(.state != "online") | .name'
    """
    page = session.client.agents()
    if output == "json":
        print_json(page)
        return
    print_table(
        ["NAME", "STATE", "QUEUES", "JOBS", "LABELS", "VERSION", "SEEN", "REMARK"],
        (
            [
                item.name,
                item.state.value,
                ", ".join(item.queues),
                f"{item.running}/{sum(item.capacity.values())}",
                pairs(item.labels),
                item.version,
                ago(item.last_seen_at),
                _remark(item),
            ]
            for item in page.items
        ),
        "No agents are registered. Make a token for one: remotectl registration-token create",
    )


def _remark(item: AgentView) -> str:
    if item.draining:
        return "draining"
    if item.paused:
        return f"paused: {item.pause_comment}" if item.pause_comment else "paused"
    return item.condition.reason or item.warning


@agent.command()
@click.argument("name")
@output_option
@pass_session
def show(session: Session, name: str, output: str) -> None:
    """One agent.

    \b
    Example:
      remotectl agent show web-7
    """
    _print(session.client.agent(name), output)


@agent.command()
@click.argument("name")
@click.option("--comment", default="", help="Why; shown wherever the agent is shown.")
@output_option
@pass_session
def pause(session: Session, name: str, comment: str, output: str) -> None:
    """Give an agent no new jobs, until resume. Kept over restarts.

    \b
    Example:
      remotectl agent pause web-7 --comment 'disk replacement'
    """
    _done(session.client.pause_agent(name, comment), output, "is paused; its running jobs go on")


@agent.command()
@click.argument("name")
@output_option
@pass_session
def resume(session: Session, name: str, output: str) -> None:
    """Take pause and drain back.

    \b
    Example:
      remotectl agent resume web-7
    """
    _done(session.client.resume_agent(name), output, "takes jobs again")


@agent.command()
@click.argument("name")
@click.option("--deadline", metavar="D", help="Cancel what still runs then, e.g. 1h.")
@output_option
@pass_session
def drain(session: Session, name: str, deadline: str | None, output: str) -> None:
    """Let an agent finish its jobs, then exit.

    \b
    Examples:
      remotectl agent drain web-7
      remotectl agent drain web-7 --deadline 1h
    """
    try:
        seconds = None if deadline is None else parse_duration(deadline)
    except ValueError as error:
        raise UsageError(f"--deadline: {error}") from None
    _done(session.client.drain_agent(name, seconds), output, "drains: it exits when it is empty")


@agent.command("set")
@click.argument("name")
@click.option("--queue", "queues", multiple=True, help="Queue to serve; replaces all of them.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Replaces all labels.")
@click.option("--capacity", metavar="N", help="Jobs at a time, or default=4,monitors=10 by queue.")
@output_option
@pass_session
def change(
    session: Session,
    name: str,
    queues: tuple[str, ...],
    labels: tuple[str, ...],
    capacity: str | None,
    output: str,
) -> None:
    """Change an agent's queues, labels or capacity; applied live.

    \b
    Examples:
      remotectl agent set web-7 --queue default --queue berlin
      remotectl agent set web-7 --capacity default=4,monitors=10 --label gpu=true
    """
    fields: dict[str, object] = {}
    if queues:
        fields["queues"] = list(queues)
    if labels:
        fields["labels"] = dict(_pair(text) for text in labels)
    if capacity is not None:
        fields["capacity"] = _capacity(capacity)
    if not fields:
        raise UsageError("Nothing to change: give --queue, --label or --capacity")
    try:
        wanted = AgentChange.model_validate(fields)
    except ValidationError as error:
        raise UsageError("; ".join(faults(error))) from None
    _done(session.client.change_agent(name, wanted), output, "is changed")


def _capacity(text: str) -> dict[str, str]:
    if text.strip().isdecimal():
        return {"default": text.strip()}
    if not all(part.partition("=")[2].strip().isdecimal() for part in text.split(",")):
        raise UsageError(
            f"--capacity: {text!r} is neither a number of jobs nor a list like "
            "default=4,monitors=10"
        )
    return dict(_pair(part.strip()) for part in text.split(","))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"{text!r} is not KEY=VALUE")
    return key, value


@agent.command("rotate-token")
@click.argument("name")
@output_option
@pass_session
def rotate_token(session: Session, name: str, output: str) -> None:
    """Give an agent a new token; the old one ends at once.

    \b
    Example:
      remotectl agent rotate-token web-7
    """
    created = session.client.rotate_agent_token(name)
    if output == "json":
        print_json(created)
        return
    note(f"the old token of {name} is void; on its host: remote-agent register --token-file FILE")
    click.echo(created.token)


@agent.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def delete(session: Session, name: str, yes: bool) -> None:
    """Remove an agent and its token; attempts that it holds are lost.

    \b
    Examples:
      remotectl agent delete web-7
      remotectl agent delete web-7 --yes
    """
    view = session.client.agent(name)
    if view.running and not yes:
        click.confirm(f"{name} runs {view.running} jobs; delete it all the same?", abort=True)
    session.client.delete_agent(name)
    note(f"{name} is deleted")


def _done(view: AgentView, output: str, words: str) -> None:
    if output == "json":
        print_json(view)
    else:
        note(f"{view.name} {words}")


def _print(view: AgentView, output: str) -> None:
    if output == "json":
        print_json(view)
        return
    place = view.platform
    print_fields(
        [
            ("Agent", view.name),
            ("State", view.state.value),
            ("Remark", _remark(view)),
            ("Queues", ", ".join(view.queues)),
            ("Labels", pairs(view.labels)),
            ("Capacity", pairs(view.capacity)),
            ("Running", str(view.running)),
            ("Jobs", ", ".join(view.jobs)),
            ("Version", view.version),
            ("Host", f"{place.hostname} ({place.system} {place.release} {place.machine})"),
            ("Address", view.address),
            ("Log not sent", format_size(view.spool_bytes) if view.spool_bytes else ""),
            ("Registered", when(view.registered_at)),
            ("Connected", when(view.connected_at)),
            ("Last seen", ago(view.last_seen_at)),
        ]
    )
