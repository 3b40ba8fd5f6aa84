"""How calls use the services: they read and write, and nobody is called after a write.

The commit is the bus: whoever has to know subscribes to it. These tests read the syntax trees of
all handlers.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote_server import web
from remote_server.store import Store

HANDLERS = sorted(
    path
    for folder in ("actions", "api", "agents", "pages")
    for path in (Path(web.__file__).parent / folder).glob("*.py")
    if path.stem != "__init__"
)
# The only ways in which a handler may use what others depend on.
ALLOWED = {
    "hub": {
        "agents/relay.py": {"holder", "running"},
        "agents/session.py": {"serve"},
    },
    "authenticator": {
        "api/metrics.py": {"admit"},
        "agents/probe.py": {"judge"},
        "pages/sign_in.py": {"admit"},
    },
    "followers": {
        "actions/agent_log.py": {"follow", "closing"},
        "actions/stream.py": {"follow", "closing"},
        "agents/handshake.py": {"closing"},
        "agents/probe.py": {"follow", "closing"},
        "api/logs.py": {"follow", "closing"},
        "api/server.py": {"closing"},
        "pages/live.py": {"follow", "closing"},
    },
    "streams": {
        "actions/agent_log.py": {"turns"},
        "actions/logs.py": {"turns"},
        "actions/stream.py": {"turns"},
        "api/logs.py": {"turns"},
        "pages/audit.py": {"turns"},
        "pages/logs.py": {"turns"},
    },
    "gauges": {"agents/relay.py": {"relayed"}},
    "metrics": {"api/metrics.py": {"families"}},
    "bus": {},
}


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def uses(path: Path) -> Iterator[tuple[str, str]]:
    """Each `….SERVICE.ATTRIBUTE` of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute):
            yield node.value.attr, node.attr


@pytest.mark.parametrize("path", HANDLERS, ids=name)
def test_no_handler_tells_anybody_what_it_wrote(path: Path) -> None:
    for service, attribute in uses(path):
        if service in ALLOWED:
            allowed = ALLOWED[service].get(name(path), set())
            assert attribute in allowed, f"{name(path)} uses services.{service}.{attribute}"


def test_what_is_allowed_is_used() -> None:
    found = {(name(path), *use) for path in HANDLERS for use in uses(path)}
    for service, modules in ALLOWED.items():
        for module, attributes in modules.items():
            for attribute in attributes:
                assert (module, service, attribute) in found


@pytest.mark.parametrize("path", HANDLERS, ids=name)
def test_every_write_says_who_writes(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        called, owner = node.func.attr, node.func.value
        if not isinstance(owner, ast.Attribute) or owner.attr != "store":
            continue
        if "by" in inspect.signature(getattr(Store, called)).parameters:
            given = [ast.unparse(word.value) for word in node.keywords if word.arg == "by"]
            assert given == ["call.principal"], f"{name(path)}: store.{called} without by="


def test_the_principal_of_a_write_is_looked_for_where_there_are_writes() -> None:
    found = sum(path.read_text().count("by=call.principal") for path in HANDLERS)
    assert found >= 18
