"""Options of `remotectl run` that make a group of its job. What carries a group out is `fan_out`,
which a single job need not load."""

from __future__ import annotations

from typing import Any, Final

from remote_client.errors import UsageError
from remote_client.transport import Document

_OPTIONS: Final = ("max_parallel", "halt_on_failures", "online_only")


def take_group_options(options: dict[str, Any]) -> dict[str, Any] | None:
    """The options of a group, taken from those of `run`; None without --each. UsageError when one
    stands without it, or with what a group cannot have."""
    each = options.pop("each")
    found = {name: options.pop(name) for name in _OPTIONS}
    if not each:
        given = [name for name, value in found.items() if value]
        if given:
            name = given[0].replace("_", "-")
            raise UsageError(f"--{name} is for a group of jobs; add --each, or leave it out")
        return None
    if options.get("agent"):
        raise UsageError(
            "--each contradicts --agent: a group has a job for every agent that matches; leave "
            "one of them out"
        )
    return found


def group_of(spec: Document, options: dict[str, Any]) -> Document:
    """The group as the API takes it: the labels choose its agents."""
    spec = dict(spec)
    labels = spec.pop("labels", {})
    group: Document = {"spec": spec, "select": {"labels": labels}}
    if options["online_only"]:
        group["select"]["online_only"] = True
    for name in ("max_parallel", "halt_on_failures"):
        if options[name] is not None:
            group[name] = options[name]
    return group
