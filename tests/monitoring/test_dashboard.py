"""The dashboard is what Grafana's own schema knows, and its panels fit together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import prometheus, stat, timeseries
from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from tests.monitoring.expressions import dashboard


def unknown(given: Any, understood: Any, path: str = "") -> Iterator[str]:
    """What Grafana's models have not taken over, or otherwise."""
    if isinstance(given, dict) and isinstance(understood, dict):
        for key, value in given.items():
            if key not in understood:
                yield f"{path}/{key}"
            else:
                yield from unknown(value, understood[key], f"{path}/{key}")
    elif isinstance(given, list) and isinstance(understood, list) and len(given) == len(understood):
        for number, (one, other) in enumerate(zip(given, understood, strict=True)):
            yield from unknown(one, other, f"{path}/{number}")
    elif given != understood:
        yield f"{path}: {given!r} is not {understood!r}"


def read(document: dict[str, Any]) -> tuple[Dashboard, Any]:
    register_default_plugins()
    board = Dashboard.from_json(document)
    return board, json.loads(JSONEncoder(sort_keys=True).encode(board))


def test_the_schema_knows_every_field() -> None:
    given = dashboard()
    board, understood = read(given)
    assert list(unknown(given, understood)) == []
    kinds = {"stat": stat.Options, "timeseries": timeseries.Options}
    assert board.panels
    for panel in board.panels:
        assert isinstance(panel, Panel)
        assert isinstance(panel.options, kinds[panel.type_val])
        assert all(isinstance(target, prometheus.Dataquery) for target in panel.targets or [])


def test_a_field_that_it_does_not_know_would_be_found() -> None:
    given = dashboard()
    given["panels"][0]["options"]["colourMode"] = "value"
    given["panels"][1]["fieldConfig"]["defaults"]["units"] = "s"
    found = list(unknown(given, read(given)[1]))
    assert found == ["/panels/0/options/colourMode", "/panels/1/fieldConfig/defaults/units"]


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below
