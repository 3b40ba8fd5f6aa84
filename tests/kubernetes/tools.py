"""The programs that set_up.sh has put into build/kubernetes. No cluster, no network."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
INSTALLERS: Final = ROOT / "installers"
CHARTS: Final = INSTALLERS / "kubernetes" / "charts"
TOOLS: Final = ROOT / "build" / "kubernetes"
VERSIONS: Final = ("1.28", "1.37")
"""The oldest and the newest Kubernetes that the manifests are for."""
WITHOUT_SCHEMA: Final = {"ScaledObject", "ServiceMonitor"}
"""Kinds of KEDA and of the Prometheus operator: Kubernetes has no schemas of them."""
_TO_JSON = (
    "import json, sys, yaml; print(json.dumps([d for d in yaml.safe_load_all(sys.stdin) if d]))"
)
Document = dict[str, Any]


def call(*command: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    assert (TOOLS / "ready").exists(), "make test-kubernetes has these tools"
    return subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": str(TOOLS), "HELM": str(TOOLS / "bin" / "helm")},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def helm(*words: object) -> subprocess.CompletedProcess[str]:
    """`helm …`."""
    return call(TOOLS / "bin" / "helm", *words)


def rendered(program: str, values: str, *flags: str) -> str:
    """The manifests of a chart with these values (YAML)."""
    chart = CHARTS / f"remote-{program}"
    words = ("template", "test", chart, "--namespace", "jobs", "--values", "-", *flags)
    done = call(TOOLS / "bin" / "helm", *words, stdin=values)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(text: str) -> list[Document]:
    """What a text in YAML holds."""
    done = call(TOOLS / "venv" / "bin" / "python", "-c", _TO_JSON, stdin=text)
    assert done.returncode == 0, done.stderr
    found: list[Document] = json.loads(done.stdout)
    return found


def only(found: Sequence[Document], *kinds: str) -> Document:
    """The one document of these kinds."""
    (document,) = [document for document in found if document["kind"] in kinds]
    return document


def faults(text: str, place: Path) -> list[str]:
    """What the strict schemas of all `VERSIONS` say against manifests; `place` is a free path."""
    place.write_text(text)
    said: list[str] = []
    validated = 0
    kinds = [document["kind"] for document in documents(text)]
    expected = [kind for kind in kinds if kind not in WITHOUT_SCHEMA]
    for version in VERSIONS:
        program = TOOLS / "venv" / "bin" / "kubernetes-validate"
        done = call(program, "--strict", "--no-warn", "-k", version, place)
        lines = (done.stdout + done.stderr).splitlines()
        validated += sum(" passed for " in line for line in lines)
        said += [line for line in lines if not line.startswith("INFO")]
        if done.returncode:
            said.append(f"exit code {done.returncode}")
    if not said and validated != len(expected) * len(VERSIONS):
        said.append(f"{validated} of {len(expected)} documents were validated for {VERSIONS}")
    return said
