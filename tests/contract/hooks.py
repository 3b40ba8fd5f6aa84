"""What schemathesis must know of this API beyond its document. Loaded by its own process.

An answer that goes on for ever is no case: `follow` is left to other tests. What the runs need to
their end, as the token they sign in with, is not removed.
"""

from __future__ import annotations

import os
from typing import Any

import schemathesis

_KEPT = frozenset(os.environ.get("CONTRACT_KEPT", "").split(","))
"""Ids and names of what is needed."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Change what must not be sent as it was generated."""
    if any(one.name == "follow" for one in case.operation.query):
        case.query = {**(case.query or {}), "follow": "false"}
    meant = case.path_parameters or {}
    if case.method == "DELETE" and _KEPT.intersection(map(str, meant.values())):
        case.path_parameters = dict.fromkeys(meant, "not-this-one")
