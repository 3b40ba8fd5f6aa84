"""What `[core] executor` says: executors for everybody, and those of teams. Pure.

LocalExecutor,Remote:remote_airflow.executor.RemoteExecutor;blue=Remote:remote_airflow.…
"""

from __future__ import annotations

from typing import Final

OURS: Final = "remote_airflow.executor.RemoteExecutor"


def for_tasks(setting: str, team: str | None) -> str:
    """The same for an environment that knows no teams: a team's executors come first, then those of
    everybody that are none of its modules or names (Airflow takes each once)."""
    kept: list[str] = []
    for entry in (*_entries(setting, team), *(_entries(setting, None) if team else ())):
        name, path = _parts(entry)
        taken = {part for other in kept for part in _parts(other)}
        if name not in taken and path not in taken:
            kept.append(entry)
    return ",".join(kept)


def is_ours(setting: str, name: str | None, team: str | None) -> bool:
    """Whether tasks of that executor's name are run by ours; None: by the default one."""
    entries = [*_entries(setting, team), *(_entries(setting, None) if team else ())]
    if name is None:
        return bool(entries) and _parts(entries[0])[1] == OURS
    return any(
        path == OURS and name in (known, path, path.rpartition(".")[2])
        for known, path in map(_parts, entries)
    )


def has_executor(setting: str, team: str) -> bool:
    """Whether a team has ours as an executor of its own."""
    return any(_parts(entry)[1] == OURS for entry in _entries(setting, team))


def _entries(setting: str, team: str | None) -> list[str]:
    """What is there of one team, or of everybody."""
    found: list[str] = []
    for part in setting.split(";"):
        name, _, names = part.rpartition("=")
        if (name.strip() or None) == team:
            found += [entry.strip() for entry in names.split(",") if entry.strip()]
    return found


def _parts(entry: str) -> tuple[str, str]:
    """Its name and its module's path, which are the same where only one is said."""
    name, _, path = entry.partition(":")
    return name, path or name
