"""The section `[remote]` of Airflow's configuration, read once. Reads the file of the token.

`conf` is Airflow's, or that of a team (`ExecutorConf`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

SECTION = "remote"


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
    executor: str
    """`[core] executor`: tasks look the name of their own executor up in it."""
    env: dict[str, str]
    running_log_limit: int
    push_bundles: frozenset[str]
    """Names of the DAG bundles that go with the jobs; `*`: all."""
    push_limit: int
    """Bytes of the files of one, unpacked."""
    push_ignore_file: str

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
    """The settings. SettingsError."""

    def text(name: str, default: str = "") -> str:
        return str(conf.get(SECTION, name, fallback=default) or default).strip()

    url = text("url").rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise SettingsError(
            "[remote] url is missing: set it to the URL of your remote-server, for example "
            "AIRFLOW__REMOTE__URL=https://jobs.example.com"
        )
    found = Settings(
        url=url,
        token=text("token"),
        token_file=text("token_file"),
        ca_file=text("ca_file"),
        page_url=(text("page_url") or url).rstrip("/"),
        venv=text("venv", "airflow"),
        execution_api_url=text("execution_api_url") or _execution_api_url(conf),
        executor=str(conf.get("core", "executor", fallback="") or ""),
        env=_variables(text("env", "{}")),
        running_log_limit=max(65536, _number("running_log_limit", text, 2097152)),
        push_bundles=_names(text("push_bundles")),
        push_limit=max(1, _number("push_limit", text, 67108864)),
        push_ignore_file=text("push_ignore_file", ".remoteignore"),
    )
    if not (found.token or found.token_file):
        raise SettingsError(
            "[remote] token is missing: make one with `remotectl token create --role operator "
            "--name airflow` and give it as token_file, token_cmd or AIRFLOW__REMOTE__TOKEN"
        )
    return found


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


def _names(text: str) -> frozenset[str]:
    """Names with commas between them, or as a JSON list."""
    try:
        found = json.loads(text) if text.startswith("[") else text.split(",")
    except ValueError as error:
        raise SettingsError(
            f"[remote] push_bundles is not JSON ({error}); write for example dags-folder"
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
