"""What Airflow is told of this provider: its executor, commands, settings. Imports nothing."""

from __future__ import annotations

from typing import Any


def _option(kind: str, default: str | None, words: str, **more: Any) -> dict[str, Any]:
    return {
        "description": words,
        "version_added": "0.1.0",
        "type": kind,
        "example": None,
        "default": default,
        **more,
    }


def _connection_type() -> dict[str, Any]:
    text = {"type": ["string", "null"]}
    return {
        "connection-type": "remote_agent",
        "hook-class-name": "remote_airflow.hook.RemoteHook",
        "hook-name": "Remote agents",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "login", "port"],
            "relabeling": {"host": "URL of the server", "password": "API token"},
            "placeholders": {
                "host": "https://jobs.example.com",
                "password": "remotectl token create --role operator --name airflow",
            },
        },
        "conn-fields": {
            "ca_file": {"label": "Certificates that sign the server's", "schema": text},
            "page_url": {"label": "URL by which people reach it", "schema": text},
        },
    }


def get_provider_info() -> dict[str, Any]:
    """The document of the entry point `apache_airflow_provider`."""
    return {
        "package-name": "remote-airflow",
        "name": "Remote",
        "description": "Runs tasks on agents behind firewalls, which connect outwards only.",
        "executors": ["remote_airflow.executor.RemoteExecutor"],
        "cli": ["remote_airflow.cli.get_commands"],
        "connection-types": [_connection_type()],
        "config": {
            "remote": {
                "description": "The executor that runs tasks on agents of a remote-server.",
                "options": {
                    "url": _option("string", None, "URL of the remote-server."),
                    "conn_id": _option(
                        "string",
                        None,
                        "Connection of Airflow, of the type remote_agent, that says url and token "
                        "where these settings do not; read when a program of Airflow starts.",
                    ),
                    "token": _option(
                        "string",
                        None,
                        "API token of the role operator. Better: token_file, or token_cmd.",
                        sensitive=True,
                    ),
                    "token_file": _option(
                        "string", None, "File with the token; read again at each connection."
                    ),
                    "ca_file": _option(
                        "string", None, "Certificates that sign the server's, if not the system's."
                    ),
                    "page_url": _option(
                        "string", None, "URL by which people reach the server; default: url."
                    ),
                    "venv": _option(
                        "string",
                        "airflow",
                        "Environment of tasks: a name in [python] environments of the agents, or "
                        "a path on their hosts.",
                    ),
                    "execution_api_url": _option(
                        "string",
                        None,
                        "Execution API as agents' hosts reach it; default: "
                        "[core] execution_api_server_url.",
                    ),
                    "env": _option(
                        "string", None, "JSON object: variables that all tasks get on their hosts."
                    ),
                    "secrets": _option(
                        "string",
                        "",
                        "Secrets of the server or of agents' hosts that all tasks get as "
                        "variables, with commas between the names; env may refer to them, as "
                        "${PROXY_PASSWORD}.",
                        example="PROXY_PASSWORD",
                    ),
                    "relay": _option(
                        "string",
                        None,
                        "A relay of the server ([relay.NAME] of its configuration) by which tasks "
                        "reach the Execution API, in place of execution_api_url; in containers "
                        "only where they have the network of their host.",
                    ),
                    "running_log_limit": _option(
                        "integer",
                        "2097152",
                        "Bytes of a running task's log that the page of Airflow shows; the whole "
                        "log follows when it has ended.",
                    ),
                    "push_bundles": _option(
                        "string",
                        "",
                        "DAG bundles that are sent with the jobs of their tasks, with commas "
                        "between the names, or * for all; agents need no DAGs of their own then. "
                        "The scheduler's host must have them.",
                        example="dags-folder",
                    ),
                    "push_limit": _option(
                        "integer", "67108864", "Bytes of the files of such a bundle, at the most."
                    ),
                    "push_cache": _option(
                        "integer",
                        "1073741824",
                        "Bytes of unpacked bundles that a host keeps for later tasks, in "
                        "AIRFLOW_HOME; 0: each task unpacks its own.",
                    ),
                    "push_ignore_file": _option(
                        "string",
                        ".remoteignore",
                        "File in the bundle that names, as .gitignore does, what is not sent.",
                    ),
                },
            }
        },
    }
