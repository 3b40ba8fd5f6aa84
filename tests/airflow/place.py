"""Places the provider of this checkout into the environment whose Python runs this.

Its folder in the path, and the metadata that Airflow finds providers by.
"""

from __future__ import annotations

import sysconfig
import tomllib
from pathlib import Path

root = Path(__file__).resolve().parents[2] / "airflow_provider"
project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
site = Path(sysconfig.get_paths()["purelib"])
(site / "remote_airflow.pth").write_text(f"{root}\n")
info = site / f"remote_airflow-{project['version']}.dist-info"
info.mkdir(exist_ok=True)
(info / "METADATA").write_text(
    f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
)
(info / "RECORD").write_text("")
groups = project["entry-points"]
lines = [
    f"[{group}]\n{name} = {value}\n" for group in groups for name, value in groups[group].items()
]
(info / "entry_points.txt").write_text("".join(lines))
