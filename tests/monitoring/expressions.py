"""The metrics that PromQL expressions of rules and dashboards use."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

GRAFANA = Path(__file__).resolve().parents[2] / "installers" / "grafana"
RULES = GRAFANA / "remote.rules.yml"
DASHBOARD = GRAFANA / "remote.json"
_TEXT = re.compile(r'"[^"]*"')
_NAME = re.compile(r"\b(remote|process)_[a-z0-9_]+")
_SERIES = re.compile(r"\b((?:remote|process)_[a-z0-9_]+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!=|!~|=)")
_GROUPED = re.compile(r"(?:by|on|without) \(([^)]*)\)")
OF_PROMETHEUS = {"instance", "job", "le"}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return found


def expressions() -> dict[str, str]:
    """All of them, by where they are from."""
    found = {f"rule {rule['alert']}": rule["expr"] for rule in rules()}
    board = dashboard()
    for panel in board["panels"]:
        for target in panel["targets"]:
            found[f"panel {panel['title']} {target['refId']}"] = target["expr"]
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            found[f"variable {variable['name']}"] = variable["query"]["query"]
    return found


def names(expression: str) -> set[str]:
    """The metrics in one."""
    return {found[0] for found in _NAME.finditer(_TEXT.sub('""', expression))}


def labels(expression: str) -> Iterator[tuple[str, str]]:
    """Each metric of one with each label that its own matchers ask for."""
    for name, matchers in _SERIES.findall(expression):
        for label in _MATCHER.findall(_TEXT.sub('""', matchers)):
            yield name, label


def grouped(expression: str) -> set[str]:
    """The labels that one groups by."""
    found = _GROUPED.findall(expression)
    return {label.strip() for group in found for label in group.split(",")} - OF_PROMETHEUS
