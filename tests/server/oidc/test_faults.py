"""Failures of a sign-in say cause and cure, and carry a code."""

from __future__ import annotations

from remote_protocol.errors import ErrorCode
from remote_server.errors import ServerError
from remote_server.oidc.faults import ProviderFault, SignInRefused


def test_they_are_the_servers_errors() -> None:
    fault = ProviderFault("the provider is away", "start it")
    assert str(fault) == "the provider is away; start it"
    assert issubclass(ProviderFault, ServerError) and fault.code is ErrorCode.OVERLOADED
    assert SignInRefused("no").code is ErrorCode.INVALID_TOKEN
    assert SignInRefused("no", ErrorCode.FORBIDDEN).code is ErrorCode.FORBIDDEN
