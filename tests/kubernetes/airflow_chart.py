"""Judges installers/airflow/values.yaml by Airflow's official chart, which is not in this checkout.

    .venv/bin/python -m tests.kubernetes.airflow_chart CHART

CHART is the archive that `helm pull apache-airflow/airflow` brings, or its folder. Reads and
renders it; no cluster, no network. `make test-kubernetes` has brought the programs.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tests.kubernetes.tools import INSTALLERS, TOOLS, Document, call, documents, helm
from tests.kubernetes.tools import faults as schema_faults

VALUES: Final = INSTALLERS / "airflow" / "values.yaml"
PARTS: Final = ("api-server", "dag-processor", "scheduler", "triggerer")
"""What asks the server, or shows what it has said: each needs the settings and the token."""
OTHERS: Final = {("airflowVersion",): "2.11.0"}
"""What is given in place of a value, where the chart's own one makes the same objects."""
Place = tuple[str | int, ...]


def read(file: Path = VALUES) -> Document:
    """The values as they are."""
    (found,) = documents(file.read_text())
    return found


class ChartError(Exception):
    """What Helm says of a chart, or of values for it."""


class Chart:
    """One chart. ChartError: it cannot be read, or takes these values for wrong."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.name = self._shown("chart")["version"]
        self.defaults = self._shown("values")

    def _shown(self, what: str) -> Document:
        done = helm("show", what, self.place)
        if done.returncode:
            raise ChartError(done.stderr.strip())
        (found,) = documents(done.stdout)
        return found

    def render(self, values: Document) -> str:
        """The manifests."""
        words = ("template", "airflow", self.place, "--namespace", "airflow", "--values", "-")
        done = call(TOOLS / "bin" / "helm", *words, stdin=json.dumps(values))
        if done.returncode:
            raise ChartError(done.stderr.strip())
        return done.stdout


def judge(chart: Chart, values: Document) -> list[str]:
    """What is wrong with these values for this chart; without a word, nothing."""
    text = chart.render(values)
    with tempfile.TemporaryDirectory() as folder:
        said = schema_faults(text, Path(folder) / "all.yaml")
    found = documents(text)
    said += [f"the chart knows no value {name}" for name in unknown(chart.defaults, values)]
    said += [f"the chart ignores the value {name}" for name in ignored(chart, values)]
    for part in PARTS:
        said += [f"{part}: {fault}" for fault in lacks(found, part, values)]
    return said


def lacks(found: list[Document], part: str, values: Document) -> list[str]:
    """What of the values has not reached one of Airflow's parts."""
    pods = [pod for pod in map(_pod, found) if pod and part in _names(pod)]
    if len(pods) != 1:
        return [f"{len(pods)} workloads have a container of this name, not one"]
    (pod,) = pods
    (container,) = (one for one in pod["containers"] if one["name"] == part)
    given = {one["name"]: one.get("value") for one in (container.get("env") or [])}
    said = [
        f"its variable {one['name']} is {given.get(one['name'])!r}, not {one['value']!r}"
        for one in values["env"]
        if given.get(one["name"]) != one["value"]
    ]
    image = values["images"]["airflow"]
    if container["image"] != f"{image['repository']}:{image['tag']}":
        said.append(f"its image is {container['image']}")
    said += [
        f"it has no mount {mount}"
        for mount in values["volumeMounts"]
        if mount not in (container.get("volumeMounts") or [])
    ]
    said += [
        f"its pod has no volume {volume}"
        for volume in values["volumes"]
        if volume not in (pod.get("volumes") or [])
    ]
    return said


def unknown(defaults: Document, values: Document, above: str = "") -> list[str]:
    """Names that the chart's own values do not have: Helm takes them silently."""
    said = []
    for name, value in values.items():
        if name not in defaults:
            said.append(above + name)
        elif isinstance(value, dict) and defaults[name]:
            said += unknown(defaults[name], value, f"{above}{name}.")
    return said


def ignored(chart: Chart, values: Document) -> list[str]:
    """Values without which the chart makes the very same objects."""
    whole = _comparable(chart.render(values))
    said = []
    for place in _leaves(values):
        less = copy.deepcopy(values)
        below: Any = less
        for step in place[:-1]:
            below = below[step]
        if place in OTHERS:
            below[place[-1]] = OTHERS[place]
        else:
            del below[place[-1]]
        if _comparable(chart.render(less)) == whole:
            said.append(".".join(map(str, place)))
    return said


def _leaves(values: Any, above: Place = ()) -> Iterator[Place]:
    """Where values are that can be left out alone: entries of a list are one each."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, name))
        elif isinstance(value, list):
            yield from ((*above, name, place) for place in range(len(value)))
        else:
            yield (*above, name)


def _comparable(text: str) -> list[Document]:
    """Manifests without what is another thing at each rendering: keys, and checksums of them."""
    found = documents(text)
    for document in found:
        document.pop("data" if document["kind"] == "Secret" else "", None)
        template = document.get("spec", {}).get("template", {})
        notes = template.get("metadata", {}).get("annotations") or {}
        for name in [name for name in notes if name.startswith("checksum/")]:
            del notes[name]
    return found


def _pod(document: Document) -> Document | None:
    if document["kind"] not in ("Deployment", "StatefulSet"):
        return None
    return dict(document["spec"]["template"]["spec"])


def _names(pod: Document) -> list[str]:
    return [container["name"] for container in pod["containers"]]


def main() -> int:
    """Judge the values by the chart that is named; what is wrong goes to stderr."""
    place = Path(sys.argv[1]) if len(sys.argv) == 2 else Path()
    if not place.is_file() and not (place / "Chart.yaml").is_file():
        print(
            "CHART names Airflow's chart, as `helm pull apache-airflow/airflow` brings it:"
            " make test-airflow-chart CHART=airflow-1.22.0.tgz",
            file=sys.stderr,
        )
        return 2
    try:
        chart = Chart(place.resolve())
        said = judge(chart, read())
    except ChartError as error:
        print(f"{place}: {error}", file=sys.stderr)
        return 1
    for fault in said:
        print(f"{VALUES.name} and Airflow's chart {chart.name}: {fault}", file=sys.stderr)
    if said:
        return 1
    print(f"Airflow's chart {chart.name} has all of {VALUES.name} reach {', '.join(PARTS)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
