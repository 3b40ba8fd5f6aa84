"""Errors of the HTTP API. Pure."""

from __future__ import annotations

from pydantic import Field

from remote_protocol.api.bodies import View
from remote_protocol.defaults import empty_list


class Problem(View):
    """An error, as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str
    """Stable name of the error (`errors.ErrorCode`)."""
    errors: list[dict[str, str]] = Field(default_factory=empty_list)
    """For `validation`: every fault at once, `{"field": …, "message": …}`."""
