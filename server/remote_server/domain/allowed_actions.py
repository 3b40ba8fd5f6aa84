"""What whoever has a role may do with a thing in its present state. Pure.

The one place that decides it for the API's answers and for pages, which draw no other actions. The
calls themselves are guarded by their access rules and by the store; a test compares them with this.
"""

from __future__ import annotations

from functools import cache

from remote_protocol.ids import Role
from remote_protocol.states import JobState


@cache
def on_job(role: Role | None, state: JobState, has_input: bool) -> list[str]:
    """`cancel`, `retry`, `submit_again` (with changes). Shared: never changed in place."""
    if not _includes(role, Role.OPERATOR):
        return []
    if not state.terminal:
        return ["cancel", "submit_again"]
    return ["submit_again"] if has_input else ["retry", "submit_again"]


def on_group(role: Role | None, ended: bool) -> list[str]:
    """`cancel`."""
    return _by_role(role, [] if ended else ["cancel"], [])


@cache
def on_agent(role: Role | None, paused: bool, draining: bool, restartable: bool) -> list[str]:
    """`pause`, `resume`, `drain`, `restart`, `change`, `rotate_token`, `delete`.
    Shared, like the above."""
    actions = {
        "resume": paused or draining,
        "pause": not paused,
        "drain": not draining,
        "restart": restartable,
    }
    operator = [name for name, makes_sense in actions.items() if makes_sense]
    return _by_role(role, operator, ["change", "rotate_token", "delete"])


def on_queue(role: Role | None, default: bool, paused: bool) -> list[str]:
    """`pause` or `resume`, `change`, `make_default`, `delete`; whether anything
    uses it the deletion finds out."""
    last = [] if default else ["make_default", "delete"]
    return _by_role(role, ["resume" if paused else "pause", "change"], last)


def on_token(role: Role | None, own: bool, revoked: bool) -> list[str]:
    """`revoke`; `own`: it is the caller's."""
    return _by_role(role, [], [] if own or revoked else ["revoke"])


def _by_role(role: Role | None, operator: list[str], admin: list[str]) -> list[str]:
    if not _includes(role, Role.OPERATOR):
        return []
    return [*operator, *admin] if _includes(role, Role.ADMIN) else operator


def _includes(role: Role | None, least: Role) -> bool:
    return role is not None and role.includes(least)
