"""Static checks of what was configured: configuration, identity, token. Reads those files.

Unlike a start of the agent, it repairs nothing that it finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from remote_agent.config import Config
from remote_agent.connection.enrolment import NEED_SERVER, NEED_TOKEN, check_token
from remote_agent.connection.identity import FILE, DamagedIdentity, Identity, read_identity
from remote_agent.errors import AgentError, ConfigError
from remote_agent.processes import open_to_others
from remote_agent.secret_file import read_secret
from remote_agent.values import open_way_words
from remote_protocol.ids import TokenKind, kind_of
from remote_protocol.report import Check, Finding, Level
from remote_protocol.urls import is_unencrypted

CONFIGURATION: Final = Check(
    "configuration", Level.STATIC, ("configuration_invalid", "unencrypted_server")
)
IDENTITY: Final = Check(
    "identity",
    Level.STATIC,
    (
        "identity_damaged",
        "identity_open_to_others",
        "identity_unreadable",
        "not_registered",
        "registers_at_start",
    ),
)
GIVEN_TOKEN: Final = Check(
    "given token",
    Level.STATIC,
    (
        "no_token_given",
        "token_and_file",
        "token_file_empty",
        "token_file_unreadable",
        "token_malformed",
        "token_of_wrong_kind",
    ),
)
_NEW_TOKEN: Final = "an admin makes one: remotectl registration-token create"


@dataclass(frozen=True, slots=True)
class GivenToken:
    """The token that flags or environment name: its text, or the file that holds it."""

    text: str | None = None
    file: str | None = None


def configuration(load: Callable[[], Config]) -> tuple[Finding, Config | None]:
    """All faults of the configuration, and what holds when there is none."""
    try:
        config = load()
    except ConfigError as error:
        number = len(error.faults)
        return (
            CONFIGURATION.failed(
                "configuration_invalid",
                f"{number} fault{'s' if number > 1 else ''} in the configuration",
                "\n".join(error.faults),
                "mend each where it says; remote-agent config shows what holds then",
            ),
            None,
        )
    return CONFIGURATION.passed("no faults", f"state directory: {config.state_dir}"), config


def unencrypted(url: str | None, insecure: bool) -> Finding | None:
    """The finding when the agent refuses to send its token over plain HTTP; `insecure`: it does."""
    if url is None or insecure or not is_unencrypted(url):
        return None
    return CONFIGURATION.failed(
        "unencrypted_server",
        f"{url} is plain HTTP, and not on this host",
        open_way_words(url),
        "use https://, or --insecure where everybody on the way is trusted",
    )


def identity(
    state_dir: Path, url: str | None, token_given: bool
) -> tuple[Finding, Identity | None]:
    """Who this agent is. `url` is the configured server, `token_given` whether there is a token to
    register with."""
    path = state_dir / FILE
    again = "register again: remote-agent register --replace"
    try:
        known = read_identity(state_dir)
        mode = path.stat().st_mode if known is not None else 0
    except DamagedIdentity as error:
        return IDENTITY.failed("identity_damaged", f"{path} is damaged", str(error), again), None
    except (AgentError, OSError) as error:
        return (
            IDENTITY.failed(
                "identity_unreadable",
                f"{path} cannot be read",
                str(error),
                "run doctor as the user who runs the agent (sudo -u USER remote-agent doctor)",
            ),
            None,
        )
    if known is None:
        return _unregistered(state_dir, url, token_given), None
    if open_to_others(mode):
        return (
            IDENTITY.failed(
                "identity_open_to_others",
                f"{path} can be read by others (mode {mode & 0o7777:04o})",
                "whoever reads the agent's token can take its place",
                f"chmod 600 {path}; if others use this host, get a new token: "
                f"remotectl agent rotate-token {known.name}",
            ),
            known,
        )
    return IDENTITY.passed(f"registered as {known.name} at {known.server}"), known


def _unregistered(state_dir: Path, url: str | None, token_given: bool) -> Finding:
    missing = [*([] if url else [NEED_SERVER]), *([] if token_given else [NEED_TOKEN])]
    if not missing:
        return IDENTITY.skipped(
            "registers_at_start",
            f"not registered yet; remote-agent run will register at {url} with the given token",
        )
    return IDENTITY.failed(
        "not_registered",
        f"this agent is not registered ({state_dir})",
        "missing to register with:\n" + "\n".join(missing),
        "remote-agent register --server URL --token-file FILE",
    )


def given_token(given: GivenToken) -> tuple[Finding, str | None]:
    """The token to register with. Its text never gets into a finding."""
    text = given.text
    if text and given.file:
        return (
            GIVEN_TOKEN.failed(
                "token_and_file",
                "a token is given, and a file with one",
                "--token and --token-file, or REMOTE_AGENT_TOKEN and REMOTE_AGENT_TOKEN_FILE",
                "leave one of them out",
            ),
            None,
        )
    if given.file:
        try:
            text = read_secret(given.file)
        except ValueError as error:
            return (
                GIVEN_TOKEN.failed(
                    "token_file_unreadable",
                    f"the token file {given.file} cannot be read",
                    str(error),
                    "check the path and who may read the file (--token-file, "
                    "REMOTE_AGENT_TOKEN_FILE; for a container: that the secret is mounted)",
                ),
                None,
            )
        if not text.strip():
            return (
                GIVEN_TOKEN.failed(
                    "token_file_empty",
                    f"the token file {given.file} is empty",
                    "it holds nothing but white space",
                    f"write a token into it; {_NEW_TOKEN}",
                ),
                None,
            )
    if not text or not text.strip():
        return GIVEN_TOKEN.skipped("no_token_given", "no token is given"), None
    try:
        token = check_token(text)
    except ConfigError as error:
        other = kind_of(text.strip()) in (TokenKind.API, TokenKind.JOB)
        code = "token_of_wrong_kind" if other else "token_malformed"
        finding = "the given token cannot register an agent"
        return GIVEN_TOKEN.failed(code, finding, str(error), _NEW_TOKEN), None
    kind = kind_of(token)
    assert kind is not None
    article = "an" if kind.words[0] == "a" else "a"
    return GIVEN_TOKEN.passed(f"{article} {kind.words} ({kind.value}…)"), token
