"""`airflow remote …`: is the server reached, which agents and queues are there. Network only."""

from __future__ import annotations

import sys
from typing import Any


def get_commands() -> list[Any]:
    """The commands, as Airflow takes them."""
    from airflow.cli.cli_config import ActionCommand, Arg, GroupCommand

    team = Arg(("--team",), help="The server of this team, of a multi-team Airflow", default=None)
    commands = [
        ActionCommand(name=name, help=words, func=run, args=(team,))
        for name, words, run in (
            ("check", "Say whether the remote-server is reached and takes tasks", check),
            ("agents", "List its agents", agents),
            ("queues", "List its queues", queues),
        )
    ]
    words = "Look at the remote-server that runs tasks"
    return [GroupCommand(name="remote", help=words, subcommands=commands)]


def check(args: Any) -> None:
    """Whether everything that a task needs can be had."""
    from remote_airflow.checking import look, where_tasks_report
    from remote_airflow.server import Server

    settings = _settings(args.team)
    good, lines = look(Server(settings, timeout=10.0))
    last = lines.pop()
    for line in lines:
        print(line)
    if not good:
        sys.exit(f"airflow remote: {last}")
    print(last)
    print(where_tasks_report(settings))
    _check_bundles(settings)


def agents(args: Any) -> None:
    """Its agents."""
    for agent in _ask("/agents", args.team)["items"]:
        running = f"{agent['running']}/{_capacity(agent['capacity'])}"
        print("\t".join((agent["name"], agent["state"], running, ",".join(agent["queues"]))))


def queues(args: Any) -> None:
    """Its queues."""
    for queue in _ask("/queues", args.team)["items"]:
        print("\t".join(str(queue.get(name)) for name in ("name", "queued", "running", "agents")))


def _capacity(of_classes: dict[str, Any]) -> str:
    """Of the only class its number; of several, which has how much."""
    if len(of_classes) == 1:
        return f"{next(iter(of_classes.values())):g}"
    return ",".join(f"{name}={count:g}" for name, count in of_classes.items())


def _check_bundles(settings: Any) -> None:
    """Whether the bundles that are pushed can be; nothing is sent."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    from remote_airflow.packing import PackError, look
    from remote_airflow.versions import bundle_root

    names = settings.push_bundles
    if "*" in names:
        names = frozenset(bundle.name for bundle in DagBundlesManager().get_all_dag_bundles())
    for name in sorted(names):
        try:
            with bundle_root(name, None) as root:
                found = look(root, settings.push_ignore_file, settings.push_limit)
        except (PackError, OSError) as error:
            sys.exit(f"airflow remote: the DAG bundle {name!r} cannot be pushed: {error}")
        size = sum(entry.size for entry in found)
        files = "1 file" if len(found) == 1 else f"{len(found)} files"
        print(f"DAG bundle {name} is pushed: {files}, {size} bytes")


def _ask(path: str, team: str | None) -> Any:
    from remote_airflow.server import Refused, Server, Unavailable

    try:
        return Server(_settings(team), timeout=10.0).get(path)
    except (Unavailable, Refused) as error:
        sys.exit(f"airflow remote: {error.args[0]}")


def _settings(team: str | None) -> Any:
    from airflow.configuration import conf

    from remote_airflow.settings import SettingsError, load
    from remote_airflow.teams import configuration_for, has_teams

    if team and not has_teams():
        sys.exit("airflow remote: this Airflow has no teams: set [core] multi_team, or omit --team")
    try:
        found = configuration_for(team)
        if team and found is conf:
            print(f"team {team} has no server of its own; this is that of everybody")
        return load(found)
    except SettingsError as error:
        sys.exit(f"airflow remote: {error}")
