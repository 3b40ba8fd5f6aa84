"""Starts attempts of jobs with secrets or a relay: finds the values, or ends the attempts.

The first place that has a secret counts: the agent's environment, the server, files of the host.
Values are in this process's memory only, and from the first one on nobody else may look into it.
"""

from __future__ import annotations

from typing import Protocol

import structlog

from remote_agent.errors import os_words
from remote_agent.execution.runner import Runner
from remote_agent.local.secret_sources import SecretSources
from remote_agent.planning.secret_values import Absent, Place, SecretsMissing, resolve
from remote_agent.processes import forbid_inspection
from remote_agent.session.secret_needs import SecretNeeds
from remote_agent.shim.secrets import PRIVATE_INPUT
from remote_protocol.attempt_id import AttemptId
from remote_protocol.messages import Confirm
from remote_protocol.states import EndReason

log = structlog.get_logger("agent")

ENVIRONMENT, SERVER, FILES = "the agent's environment", "the server", "the agent's files"


class Relays(Protocol):
    """Who opens the relays of attempts (`app.relays.Relays`)."""

    def open(self, key: AttemptId) -> dict[str, str]:
        """Have the endpoint of an attempt; what its job is given of it, as secrets. OSError."""


class SecretStart:
    """Gives the `runner` the secrets of each attempt that it starts."""

    def __init__(self, runner: Runner, sources: SecretSources, relays: Relays) -> None:
        self._runner = runner
        self._sources = sources
        self._relays = relays

    def start_with_secrets(self, key: AttemptId, needs: SecretNeeds) -> None:
        """Have a shim run the attempt with its secrets, or end it before it starts."""
        forbid_inspection()
        places = (
            Place(ENVIRONMENT, self._sources.of_environment),
            Place(SERVER, lambda name: _of_server(needs.given, name)),
            Place(FILES, self._sources.of_files),
        )
        try:
            given = {} if needs.spec.relay is None else self._relays.open(key)
            values = resolve(needs.spec, places, given) | _input_of(needs)
        except OSError as error:
            reason = f"its relay cannot be opened: {os_words(error, 'the state directory')}"
            log.error("a job is not started", attempt=str(key), reason=reason)
            self._runner.refuse(key, EndReason.SPAWN_ERROR, reason)
        except SecretsMissing as missing:
            log.warning("a job is not started", attempt=str(key), reason=str(missing))
            self._runner.refuse(key, EndReason.SECRET_MISSING, str(missing))
        else:
            self._runner.start(key, values)


def _input_of(needs: SecretNeeds) -> dict[str, str]:
    """The private input as the shim is handed it. SecretsMissing."""
    if not needs.spec.private_input:
        return {}
    text = needs.given.private_input
    if text is None:
        raise SecretsMissing(
            "The server cannot give the private input of this job any more; its log says why. "
            "Submit the job again, with its input."
        )
    return {PRIVATE_INPUT: text}


def _of_server(given: Confirm, name: str) -> str:
    value = (given.secrets or {}).get(name)
    if value is None:
        raise Absent((given.withheld or {}).get(name, "it gives none").rstrip("."))
    return value
