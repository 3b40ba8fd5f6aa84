"""Secrets as shown: all but their values."""

from __future__ import annotations

from collections.abc import Sequence

from remote_protocol.api.secrets import SecretView
from remote_server.domain.secrets import Secret
from remote_server.queries.views import when
from remote_server.secrets.vault import Vault


def secret_views(vault: Vault, secrets: Sequence[Secret]) -> list[SecretView]:
    """Secrets as lists and single answers show them, with what is the matter with each."""
    problems = vault.problems(secrets)
    return [
        SecretView.model_construct(
            name=secret.name,
            queues=list(secret.scope.queues),
            all_queues=secret.scope.all_queues,
            key_id=secret.key_id,
            created_at=when(secret.created_at),
            created_by=secret.created_by,
            updated_at=when(secret.updated_at),
            updated_by=secret.updated_by,
            problem=problems.get(secret.name) or _nobody(secret),
        )
        for secret in secrets
    ]


def _nobody(secret: Secret) -> str:
    if secret.scope.all_queues or secret.scope.queues:
        return ""
    return "no queue gets it: those that it was for were deleted"
