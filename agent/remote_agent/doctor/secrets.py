"""Static check of where this host has secrets for jobs. Reads the directory, and no value."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from remote_agent.errors import os_words
from remote_agent.sections import SecretsPart
from remote_protocol.report import Check, Finding, Level
from remote_protocol.secret_names import check_secret_name

SECRETS: Final = Check(
    "secrets",
    Level.STATIC,
    ("no_secrets_here", "secrets_directory_missing", "secrets_directory_unreadable"),
)
_NAMED: Final = 5


def secrets(settings: SecretsPart) -> Finding:
    """Whether the agent can read the directory of `[secrets] dir`, and what is in it."""
    folder = settings.dir
    if folder is None:
        if settings.env_allow:
            return SECRETS.passed(f"of the agent's environment: {', '.join(settings.env_allow)}")
        return SECRETS.skipped("no_secrets_here", "only the server gives secrets to jobs here")
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError) as error:
        return SECRETS.failed(
            "secrets_directory_missing",
            f"there is no directory {folder}",
            os_words(error, folder),
            "make it, or mount it (for a container: that the secret is mounted); or take "
            "[secrets] dir out of the configuration",
        )
    except OSError as error:
        return _unreadable(folder, os_words(error, folder))
    known = [name for name in names if _is_name(name)]
    if closed := sorted(name for name in known if not os.access(folder / name, os.R_OK)):
        return _unreadable(folder, f"this user may not read {_list(closed)}")
    found = f"{folder} has {len(known)} secret{'' if len(known) == 1 else 's'}"
    if odd := sorted(name for name in names if not _is_name(name) and not name.startswith(".")):
        found += f", and what no job can name (letters, digits and _ only): {_list(odd)}"
    return SECRETS.passed(found)


def _unreadable(folder: Path, why: str) -> Finding:
    return SECRETS.failed(
        "secrets_directory_unreadable",
        f"the secrets in {folder} cannot be read",
        why,
        "let the agent's user read it, or run doctor as that user (sudo -u USER remote-agent "
        "doctor)",
    )


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _is_name(name: str) -> bool:
    try:
        check_secret_name(name)
    except ValueError:
        return False
    return True
