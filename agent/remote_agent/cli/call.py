"""What a call of `remote-agent` says itself: the configuration's flags, and the token.

Reads the environment and the token's file. Light: every start of the agent comes through here.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

from remote_agent.cli.variables import text_of, variable_of
from remote_agent.config import FLAGS, Config
from remote_agent.config import load as load_config
from remote_agent.connection.identity import Identity
from remote_agent.errors import ConfigError
from remote_agent.processes import run_again
from remote_agent.secret_file import read_secret

CREDENTIAL: Final = "token"
"""Name of the credential by which a service gets a registration token."""
TWO_TOKENS: Final = (
    "a token and a file with one are given (--token and --token-file, or REMOTE_AGENT_TOKEN and "
    "REMOTE_AGENT_TOKEN_FILE); leave one of them out"
)


def load(
    options: argparse.Namespace, flags: dict[tuple[str, str], object] | None = None
) -> tuple[Config, dict[tuple[str, ...], str]]:
    """The effective configuration for these options, and the origins of its values."""
    file = Path(options.config) if options.config else None
    state_dir = Path(options.state_dir) if options.state_dir else None
    return load_config(file, os.environ, flags, state_dir)


def flags_of(options: argparse.Namespace) -> dict[tuple[str, str], object]:
    """What the flags say of the configuration; a command need not have all of them."""
    return {
        place: getattr(options, flag.removeprefix("--").replace("-", "_"), None)
        for place, flag in FLAGS.items()
    }


def named_token(options: argparse.Namespace | None) -> tuple[str | None, str | None]:
    """The token, and the file that holds it, as flags name them, else as the environment does."""
    flag, file = (options.token, options.token_file) if options else (None, None)
    return (flag, file) if flag or file else (text_of("--token"), text_of("--token-file"))


def read_token(options: argparse.Namespace | None) -> str | None:
    """The token from a flag, else from the environment, else from the service's credentials.
    ConfigError when it can be none, or when two are given."""
    token, file = named_token(options)
    if token and file:
        raise ConfigError(TWO_TOKENS)
    if file:
        try:
            token = read_secret(file)
        except ValueError as error:
            raise ConfigError(f"the token file {file} cannot be read: {error}") from None
        if not token.strip():
            raise ConfigError(f"the token file {file} is empty")
    if not token:
        token = _credential()
    if not token:
        return None
    # Imported only here: `run` of a host that is registered has no token any more.
    from remote_agent.connection.enrolment import check_token

    return check_token(token)


def _credential() -> str | None:
    """The credential `token` that systemd loaded (systemd.exec(5)); None for none. The unit's
    default, when the file is missing, is `-`."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    try:
        text = read_secret(str(Path(folder) / CREDENTIAL)).strip()
    except ValueError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise ConfigError(f"the credential {CREDENTIAL} cannot be read: {error}") from None
    return None if text in ("", "-") else text


def to_enrol(known: Identity | None, url: str | None, token: str | None) -> bool:
    """Whether `run` has to enrol first: this host is not registered, or at another server than the
    configured one, for which there is a token."""
    return known is None or (token is not None and url not in (None, known.server))


def forget_token() -> None:
    """Run again without a token in environment and arguments: any job that runs as this user could
    read it there (proc(5)). Returns when there is none."""
    there = variable_of("--token") in os.environ or _without_token(sys.orig_argv) != sys.orig_argv
    if not there or sys.argv[1:2] != ["run"]:
        return
    os.environ.pop(variable_of("--token"), None)
    start_anew()


def start_anew() -> None:
    """Become this program anew, with the same arguments but for a token. OSError; returns where no
    process can become another one (Windows)."""
    frozen = getattr(sys, "frozen", False)
    arguments = [sys.executable, *sys.argv[1:]] if frozen else sys.orig_argv
    sys.stdout.flush()
    run_again(_without_token(arguments), os.environ)


def _without_token(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in arguments:
        if not skip and word != "--token" and not word.startswith("--token="):
            kept.append(word)
        skip = word == "--token"
    return kept
