"""Starts attempts of jobs with secrets: finds the values, or ends them before they start."""

from __future__ import annotations

import structlog

from remote_agent.execution.runner import Runner
from remote_agent.session.secret_needs import SecretNeeds
from remote_protocol.attempt_id import AttemptId
from remote_protocol.states import EndReason

log = structlog.get_logger("agent")

_NOT_GIVEN = "the server gives none"


class SecretStart:
    """Gives the runner the secrets of each attempt that it starts."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def start_with_secrets(self, key: AttemptId, needs: SecretNeeds) -> None:
        """Have a shim run the attempt with its secrets, or end it before it starts."""
        given = needs.given.secrets
        missing = [name for name in needs.spec.secrets if name not in given]
        if not missing:
            self._runner.start(key, {name: given[name] for name in needs.spec.secrets})
            return
        why = needs.given.withheld
        words = "; ".join(
            f"the secret {name} is missing: {why.get(name, _NOT_GIVEN)}" for name in missing
        )
        log.warning("a job is not started", attempt=str(key), reason=words)
        self._runner.refuse(key, EndReason.SECRET_MISSING, words)
