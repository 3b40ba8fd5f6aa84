"""An Airflow for development: its configuration, and the programs that it is made of."""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path

from demo.programs import Programs

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / "build" / "airflow" / "venv"
PROVIDER = ROOT / "airflow_provider" / "remote_airflow"
PARTS = ("api-server", "scheduler", "dag-processor", "triggerer")
"""Airflow's own programs, which import the provider."""


class Airflow:
    """One deployment below a folder of its own: LocalExecutor, and ours beside it."""

    def __init__(
        self, programs: Programs, port: int, server_url: str, token_file: Path, dags: Path
    ) -> None:
        self._programs = programs
        self._port = port
        self.url = f"http://127.0.0.1:{port}"
        self.password = secrets.token_urlsafe(9)
        """Of the user `admin`."""
        root = programs.folder
        home, agent_home = root / "home", root / "tasks"
        for folder in (home, agent_home):
            folder.mkdir()
        passwords = root / "passwords"
        passwords.touch(0o600)
        passwords.write_text(json.dumps({"admin": self.password}))
        secret = secrets.token_urlsafe(48)
        self.env = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secret,
            "AIRFLOW__API_AUTH__JWT_SECRET": secret,
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor,"
            "Remote:remote_airflow.executor.RemoteExecutor",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{root}/airflow.db",
            "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS": "remote_airflow.log_settings.LOGGING_CONFIG",
            "AIRFLOW__REMOTE__URL": server_url,
            "AIRFLOW__REMOTE__TOKEN_FILE": str(token_file),
            "AIRFLOW__REMOTE__ENV": json.dumps(
                {"AIRFLOW_HOME": str(agent_home), "AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
            ),
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    @property
    def command(self) -> Path:
        """A script that calls this Airflow's own commands."""
        return self._programs.folder / "airflow"

    def write_command(self) -> None:
        """Make it; it has the secrets of this deployment, and is this user's only."""
        self.command.touch(0o700)
        words = "".join(
            f"export {name}='{value.replace(chr(39), '')}'\n" for name, value in self.env.items()
        )
        self.command.write_text(f'#!/bin/sh\n{words}exec {VENV}/bin/airflow "$@"\n')
        self.command.chmod(stat.S_IRWXU)

    def migrate(self) -> None:
        """Make its database."""
        self._programs.run("database", [VENV / "bin" / "airflow", "db", "migrate"], self.env)

    def start(self) -> None:
        """Start its programs (again)."""
        words = {
            "api-server": ("--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"),
            "scheduler": ("--skip-serve-logs",),
            "triggerer": ("--skip-serve-logs",),
        }
        for name in PARTS:
            command = [VENV / "bin" / "airflow", name, *words.get(name, ())]
            self._programs.start(name, command, self.env)

    def stop(self) -> None:
        """End them; jobs of its tasks run on."""
        self._programs.stop(*reversed(PARTS))


def provider_state() -> dict[str, int]:
    """When each file of the provider was changed."""
    return {
        entry.name: entry.stat().st_mtime_ns
        for entry in os.scandir(PROVIDER)
        if entry.name.endswith(".py")
    }
