"""`airflow remote …`: is the server reached, which agents and queues are there. Network only."""

from __future__ import annotations

import sys
from typing import Any


def get_commands() -> list[Any]:
    """The commands, as Airflow takes them."""
    from airflow.cli.cli_config import ActionCommand, GroupCommand

    commands = [
        ActionCommand(name=name, help=words, func=run, args=())
        for name, words, run in (
            ("check", "Say whether the remote-server is reached and takes tasks", check),
            ("agents", "List its agents", agents),
            ("queues", "List its queues", queues),
        )
    ]
    words = "Look at the remote-server that runs tasks"
    return [GroupCommand(name="remote", help=words, subcommands=commands)]


def check(_: Any) -> None:
    """Whether everything that a task needs can be had."""
    from remote_airflow.checking import look
    from remote_airflow.server import Server

    settings = _settings()
    good, lines = look(Server(settings, timeout=10.0))
    last = lines.pop()
    for line in lines:
        print(line)
    if not good:
        sys.exit(f"airflow remote: {last}")
    print(last)
    _check_bundles(settings)


def agents(_: Any) -> None:
    """Its agents."""
    for agent in _ask("/agents")["items"]:
        running = f"{agent['running']}/{_capacity(agent['capacity'])}"
        print("\t".join((agent["name"], agent["state"], running, ",".join(agent["queues"]))))


def queues(_: Any) -> None:
    """Its queues."""
    for queue in _ask("/queues")["items"]:
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


def _ask(path: str) -> Any:
    from remote_airflow.server import Refused, Unavailable

    try:
        return _server().get(path)
    except (Unavailable, Refused) as error:
        sys.exit(f"airflow remote: {error.args[0]}")


def _server() -> Any:
    from remote_airflow.server import Server

    return Server(_settings(), timeout=10.0)


def _settings() -> Any:
    from airflow.configuration import conf

    from remote_airflow.settings import SettingsError, load

    try:
        return load(conf)
    except SettingsError as error:
        sys.exit(f"airflow remote: {error}")
