"""The live checks that agent and client share, in their order: each builds on those before. Pure.

The network is a port: what it raises and answers becomes a finding here, so that both programs say
the same of the same fault. No token is sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from remote_protocol.reachability import server, way
from remote_protocol.reachability.ports import Network
from remote_protocol.reachability.target import Target
from remote_protocol.report import Check, Finding, Status

CHECKS: Final[tuple[Check, ...]] = (
    way.NAME,
    way.PROXY,
    way.CONNECTION,
    way.TLS,
    server.SERVER,
    server.CLOCK,
    server.VERSION,
)


def examine(target: Target, network: Network) -> tuple[list[Finding], bool]:
    """Findings of all checks, in their order; and whether the server can be asked more."""
    found: dict[str, Finding] = {}
    try:
        for finding in _steps(target, network):
            found[finding.check] = finding
    except way.Stop as stop:
        # A check that has passed may turn out otherwise: a proxy that asks for a password late.
        found[stop.finding.check] = stop.finding
        return [found.get(check.name) or check.needs(stop.finding.check) for check in CHECKS], False
    # A certificate that ends soon, or a clock that differs, is no reason not to go on.
    compatible = found[server.VERSION.name].status is Status.PASS
    return [found[check.name] for check in CHECKS], compatible


def _steps(target: Target, network: Network) -> Iterator[Finding]:
    yield way.name(target, network)
    yield from way.connection(target, network)
    yield way.tls(target, network)
    answer, asked_at = server.identify(target, network)
    yield server.SERVER.passed(f"{target.url} is a remote-server")
    yield server.clock(answer, asked_at)
    yield server.version(target, answer)
