"""The environment of a job: clean by construction, so no credential can slip in. Touches nothing.

Only names on a list pass from the agent's environment; then comes the job's own `env`, then what
the agent says about the attempt.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Final

# fmt: off
ALLOWED: Final = frozenset(
    [
        "PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR",
        "TEMP", "TMP", "HOSTNAME", "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT",
        "SYSTEMDRIVE", "USERPROFILE", "USERNAME", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA",
        "PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "COMMONPROGRAMFILES",
        "COMMONPROGRAMFILES(X86)", "COMMONPROGRAMW6432", "ALLUSERSPROFILE", "PUBLIC", "OS",
        "COMPUTERNAME", "USERDOMAIN", "HOMEDRIVE", "HOMEPATH", "PSMODULEPATH", "DRIVERDATA",
        "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE",
    ]
)
# fmt: on
"""Names that a job inherits from the agent; `LC_*` too."""
TEMPORARY_NAMES: Final = ("TEMP", "TMP") if sys.platform == "win32" else ("TMPDIR",)
"""Variables that name the folder for temporary files."""
_OWN: Final = "REMOTE_AGENT_"
_ASKS_THE_SYSTEM: Final = sys.platform in ("darwin", "win32")
_ONE_CASE: Final = sys.platform == "win32"


def may_have_proxy(environ: Mapping[str, str]) -> bool:
    """Whether a proxy can be set at all: by a variable, or where the system has settings for it
    (`urllib.request.getproxies`)."""
    return _ASKS_THE_SYSTEM or any(name.lower().endswith("_proxy") for name in environ)


def inherited_env(environ: Mapping[str, str], allow: Iterable[str] = ()) -> dict[str, str]:
    """What all jobs have of the agent's own environment, which is `environ`.

    `allow` are further names that the host's owner lets through. The agent's own settings
    (`REMOTE_AGENT_*`) never pass, not even when allowed.
    """
    passed = ALLOWED.union(map(_spelling, allow))
    env = {
        name: value
        for name, value in environ.items()
        if (name in passed or name.startswith("LC_")) and not name.startswith(_OWN)
    }
    env.setdefault("PATH", os.defpath)
    for name, value in _account().items():
        env.setdefault(name, value)
    return env


def child_env(inherited: Mapping[str, str], *given: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a job: what it inherits, then what else is `given`; the last one
    wins."""
    env = dict(inherited)
    for more in given:
        if _ONE_CASE:
            more = {_spelling(name): value for name, value in more.items()}
        env.update(more)
    return env


def _spelling(name: str) -> str:
    """Windows knows `Path` and `PATH` as one name: there all are written large, as Python does."""
    return name.upper() if _ONE_CASE else name


@cache
def _account() -> dict[str, str]:
    """Home and name of the account: services often start without them. Asked for once: it costs
    0.2 ms and stays what it is."""
    if sys.platform == "win32":
        return {}
    import pwd

    try:
        entry = pwd.getpwuid(os.geteuid())
    except KeyError:
        return {}
    return {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name}
