"""The section `[remote]` of Airflow's configuration, read once. Reads the file of the token, and
the connection that the section names.

`conf` is Airflow's, or that of a team (`ExecutorConf`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

from remote_airflow.connection import Given, NotThere, by_name
from remote_airflow.executor_setting import for_tasks

SECTION = "remote"
_BUNDLES: Final = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"


class SettingsError(ValueError):
    """A setting is missing or wrong; the text is a sentence with the cure."""


class Settings(NamedTuple):
    """What the executor has to know."""

    url: str
    token: str
    token_file: str
    ca_file: str
    page_url: str
    venv: str
    execution_api_url: str
    relay: str
    """A relay of the server by which tasks reach the Execution API; empty: by themselves."""
    executor: str
    """`[core] executor`: tasks look the name of their own executor up in it."""
    queue: str
    """`[operators] default_queue`: of what names none."""
    env: dict[str, str]
    secrets: tuple[str, ...]
    """Of the server or of agents' hosts, for all tasks; `env` may refer to them."""
    running_log_limit: int
    push_bundles: frozenset[str]
    """Names of the DAG bundles that go with the jobs; `*`: all."""
    push_limit: int
    """Bytes of the files of one, unpacked."""
    push_ignore_file: str
    push_cache: int
    """Bytes of unpacked ones that each user of tasks keeps on a host; 0: none."""

    def pushes(self, bundle: str) -> bool:
        """Whether tasks of this bundle get it with their jobs."""
        return bundle in self.push_bundles or "*" in self.push_bundles

    def bearer(self) -> str:
        """The token. SettingsError."""
        if not self.token_file:
            return self.token
        try:
            return Path(self.token_file).read_text().strip()
        except OSError as error:
            raise SettingsError(
                f"[remote] token_file {self.token_file} cannot be read: {error.strerror}; check "
                "its path, owner and mode"
            ) from None


def load(conf: Any) -> Settings:
    """The settings. SettingsError, which names the team whose they are."""
    team = getattr(conf, "team_name", None)
    try:
        return _load(conf, team)
    except SettingsError as error:
        if team is None:
            raise
        variables = f"AIRFLOW__{team.upper()}___REMOTE__"
        words = str(error).replace("AIRFLOW__REMOTE__", variables)
        raise SettingsError(f"team {team}: {words}") from None


def _load(conf: Any, team: str | None) -> Settings:
    def text(name: str, default: str = "") -> str:
        return str(conf.get(SECTION, name, fallback=default) or default).strip()

    # A team's has nothing of what holds for everybody.
    general = conf if team is None else _general()
    given = _given(text("conn_id"), team)
    url = _url(text("url"), given)
    found = Settings(
        url=url,
        token=text("token"),
        token_file=text("token_file"),
        ca_file=text("ca_file") or given.ca_file,
        page_url=(text("page_url") or given.page_url or url).rstrip("/"),
        venv=text("venv", "airflow"),
        relay=text("relay"),
        execution_api_url=text("execution_api_url") or _execution_api_url(general),
        executor=for_tasks(str(general.get("core", "executor", fallback="") or ""), team),
        queue=str(general.get("operators", "default_queue", fallback="") or "default"),
        env=_without_teams(_variables(text("env", "{}"))),
        secrets=tuple(sorted(_names("secrets", text("secrets"), "PROXY_PASSWORD"))),
        running_log_limit=max(65536, _number("running_log_limit", text, 2097152)),
        push_bundles=_names("push_bundles", text("push_bundles"), "dags-folder"),
        push_limit=max(1, _number("push_limit", text, 67108864)),
        push_ignore_file=text("push_ignore_file", ".remoteignore"),
        push_cache=max(0, _number("push_cache", text, 1073741824)),
    )
    if found.token or found.token_file:
        return found
    return found._replace(token=_token(given))


def of_connection(given: Given) -> Settings:
    """What one connection alone says: enough for calls of the API. SettingsError."""
    url = _url("", given)
    return Settings(
        url=url,
        token=_token(given),
        token_file="",
        ca_file=given.ca_file,
        page_url=(given.page_url or url).rstrip("/"),
        venv="",
        execution_api_url="",
        relay="",
        executor="",
        queue="",
        env={},
        secrets=(),
        push_bundles=frozenset(),
        push_limit=0,
        push_ignore_file="",
        push_cache=0,
        running_log_limit=0,
    )


def _general() -> Any:
    from airflow.configuration import conf

    return conf


def _given(conn_id: str, team: str | None) -> Given:
    if not conn_id:
        return Given()
    try:
        return by_name(conn_id, team)
    except NotThere as error:
        raise SettingsError(str(error)) from None


def _url(own: str, given: Given) -> str:
    url = (own or given.url).rstrip("/")
    if url.startswith(("http://", "https://")):
        return url
    if given.name:
        raise SettingsError(
            f"connection {given.name!r} names no server: its host is the URL of your "
            "remote-server, for example https://jobs.example.com"
        )
    raise SettingsError(
        "[remote] url is missing: set it to the URL of your remote-server, for example "
        "AIRFLOW__REMOTE__URL=https://jobs.example.com"
    )


def _token(given: Given) -> str:
    if given.token:
        return given.token
    make = "make one with `remotectl token create --role operator --name airflow` and give it as"
    if given.name:
        raise SettingsError(f"connection {given.name!r} has no token: {make} its password")
    raise SettingsError(
        f"[remote] token is missing: {make} token_file, token_cmd, AIRFLOW__REMOTE__TOKEN, or as "
        "the password of the connection that conn_id names"
    )


def _execution_api_url(conf: Any) -> str:
    base = str(conf.get("api", "base_url", fallback="") or "")
    if not base.startswith(("http://", "https://")):
        base = f"http://localhost:8080{base}"
    given = conf.get("core", "execution_api_server_url", fallback=None)
    return str(given or f"{base.rstrip('/')}/execution/")


def _variables(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise SettingsError(
            f'[remote] env is not JSON ({error}); write for example {{"TZ": "UTC"}}'
        ) from None
    if not isinstance(found, dict):
        raise SettingsError('[remote] env is not a JSON object; write for example {"TZ": "UTC"}')
    return {str(name): str(value) for name, value in found.items()}


def _without_teams(env: dict[str, str]) -> dict[str, str]:
    """The same, where a list of DAG bundles names teams: Airflow refuses it on a host that knows
    none, as those of tasks do."""
    try:
        bundles = json.loads(env[_BUNDLES])
        kept = [{k: v for k, v in one.items() if k != "team_name"} for one in bundles]
    except (KeyError, ValueError, AttributeError, TypeError):
        # None, or one that the task itself complains of.
        return env
    return env | {_BUNDLES: json.dumps(kept)}


def _names(setting: str, text: str, example: str) -> frozenset[str]:
    """Names with commas between them, or as a JSON list."""
    try:
        found = json.loads(text) if text.startswith("[") else text.split(",")
    except ValueError as error:
        raise SettingsError(
            f"[remote] {setting} is not JSON ({error}); write for example {example}"
        ) from None
    return frozenset(str(name).strip() for name in found if str(name).strip())


def _number(name: str, text: Callable[[str, str], str], default: int) -> int:
    given = text(name, str(default))
    try:
        return int(given)
    except ValueError:
        raise SettingsError(
            f"[remote] {name} is no number of bytes: {given!r}; for example {default}"
        ) from None
