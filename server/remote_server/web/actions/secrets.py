"""Setting secrets. A value goes from the body to the vault, and nowhere else."""

from __future__ import annotations

import time
from typing import Final

from remote_protocol.api.secrets import SecretPut, SecretScope
from remote_protocol.secret_names import check_secret_name
from remote_server.domain.secrets import Scope, Secret
from remote_server.web.http.problems import validation
from remote_server.web.route import Call

HIDDEN: Final = "…"
"""Instead of a value in the server's log."""


async def put_secret(call: Call, name: str, body: SecretPut) -> tuple[Secret, bool]:
    """Create a secret or replace its value; whether it is new. ApiProblem when the name is none."""
    require_name(name)
    return await call.services.vault.put(
        name, body.value, scope_of(body), time.time(), by=call.principal
    )


def require_name(name: str) -> None:
    """ApiProblem when no secret can have this name."""
    try:
        check_secret_name(name)
    except ValueError as error:
        raise validation([("name", str(error))]) from None


def scope_of(body: SecretScope) -> Scope | None:
    """Which jobs get the secret; None: it is not said."""
    if body.all_queues:
        return Scope((), True)
    return None if body.queues is None else Scope(tuple(dict.fromkeys(body.queues)))
