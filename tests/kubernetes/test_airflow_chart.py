"""Values for Airflow's chart, and the judge of them (`make test-airflow-chart`), on a stand-in.

The official chart is not in this checkout. The stand-in has the names of its version 1.22.0 that
our values use, and makes the same of them: a name that is written wrongly is found here.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remote_agent.config import load
from tests.kubernetes.airflow_chart import PARTS, Chart, ignored, judge, lacks, read, unknown
from tests.kubernetes.tools import INSTALLERS, ROOT, documents, faults, only, rendered

AGENT = INSTALLERS / "airflow" / "agent.values.yaml"
NAMES = """\
airflowVersion: 3.2.2
images: {airflow: {repository: ~, tag: ~}}
executor: CeleryExecutor
env: []
volumes: []
volumeMounts: []
jwtSecretName: ~
ingress: {apiServer: {enabled: ~, path: "/", pathType: ImplementationSpecific, hosts: []}}
"""
PART = """\
{{- if semverCompare ">=3.0.0" .Values.airflowVersion }}
{{- range $part := list "api-server" "dag-processor" "scheduler" "triggerer" }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: "airflow-{{ $part }}"}
spec:
  selector: {matchLabels: {component: "{{ $part }}", executor: "{{ $.Values.executor }}"}}
  template:
    metadata: {labels: {component: "{{ $part }}", executor: "{{ $.Values.executor }}"}}
    spec:
      volumes: {{ toJson $.Values.volumes }}
      containers:
        - name: {{ $part }}
          image: "{{ $.Values.images.airflow.repository }}:{{ $.Values.images.airflow.tag }}"
          volumeMounts: {{ toJson $.Values.volumeMounts }}
          env:
            {{- range $.Values.env }}
            - {{ toJson . }}
            {{- end }}
            - name: AIRFLOW__API_AUTH__JWT_SECRET
              valueFrom:
                secretKeyRef:
                  name: {{ $.Values.jwtSecretName | default "airflow-jwt-secret" }}
                  key: jwt-secret
{{- end }}
{{- end }}
"""
INGRESS = """\
{{- with .Values.ingress.apiServer }}
{{- if .enabled }}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: airflow-ingress}
spec:
  tls:
    {{- range .hosts }}
    {{- if .tls.enabled }}
    - {hosts: ["{{ .name }}"], secretName: "{{ .tls.secretName }}"}
    {{- end }}
    {{- end }}
  rules:
    {{- range .hosts }}
    - host: {{ .name }}
      http:
        paths:
          - path: {{ $.Values.ingress.apiServer.path }}
            pathType: {{ $.Values.ingress.apiServer.pathType }}
            backend: {service: {name: airflow-api-server, port: {name: api-server}}}
    {{- end }}
{{- end }}
{{- end }}
"""


def stand_in(folder: Path, part: str = PART) -> Chart:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: airflow\nversion: 1.22.0\n")
    (folder / "values.yaml").write_text(NAMES)
    (folder / "templates" / "parts.yaml").write_text(part)
    (folder / "templates" / "ingress.yaml").write_text(INGRESS)
    return Chart(folder)


def reached(chart: Chart) -> dict[str, list[str]]:
    """What has not reached each part."""
    found = documents(chart.render(read()))
    return {part: lacks(found, part, read()) for part in PARTS}


def test_the_values_are_for_names_that_the_chart_has(tmp_path: Path) -> None:
    assert judge(stand_in(tmp_path / "chart"), read()) == []


def test_a_token_that_does_not_reach_a_part_is_found(tmp_path: Path) -> None:
    mounts = "{{ toJson $.Values.volumeMounts }}"
    less = PART.replace(mounts, f'{{{{ if ne $part "triggerer" }}}}{mounts}{{{{ end }}}}')
    assert less != PART
    said = reached(stand_in(tmp_path / "chart", less))
    (mount,) = read()["volumeMounts"]
    assert said == {part: [f"it has no mount {mount}"] * (part == "triggerer") for part in PARTS}


def test_a_variable_that_is_exchanged_is_found(tmp_path: Path) -> None:
    last = "            - name: AIRFLOW__API_AUTH__JWT_SECRET"
    more = "            - {name: AIRFLOW__CORE__EXECUTOR, value: CeleryExecutor}\n"
    said = reached(stand_in(tmp_path / "chart", PART.replace(last, more + last)))
    for part in PARTS:
        (fault,) = said[part]
        assert fault.startswith("its variable AIRFLOW__CORE__EXECUTOR is 'CeleryExecutor', not")


def test_a_value_that_is_not_used_is_found(tmp_path: Path) -> None:
    name = '{{ $.Values.jwtSecretName | default "airflow-jwt-secret" }}'
    chart = stand_in(tmp_path / "chart", PART.replace(name, "airflow-jwt-secret"))
    assert ignored(chart, {"jwtSecretName": "airflow-jwt"}) == ["jwtSecretName"]


def test_a_value_that_the_chart_does_not_have_is_found(tmp_path: Path) -> None:
    values = read()
    values["jwtSecret_Name"] = values.pop("jwtSecretName")
    values["ingress"]["apiServer"]["host_s"] = []
    said = unknown(stand_in(tmp_path / "chart").defaults, values)
    assert sorted(said) == ["ingress.apiServer.host_s", "jwtSecret_Name"]


def test_the_command_says_what_it_needs() -> None:
    for given in ("airflow-9.tgz", ""):
        command = [sys.executable, "-m", "tests.kubernetes.airflow_chart", given]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "helm pull" in done.stderr


@pytest.fixture
def pod() -> dict[str, str]:
    """The variables of a pod of agents for Airflow's tasks."""
    workload = only(documents(rendered("agent", AGENT.read_text())), "StatefulSet")
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    (known,) = documents(AGENT.read_text())
    assert container["image"] == f"{known['image']['repository']}:{known['image']['tag']}"
    return {one["name"]: one.get("value", "pod-0") for one in container["env"]}


def test_agents_for_tasks_know_the_environment(pod: dict[str, str], tmp_path: Path) -> None:
    config, _ = load(None, {**pod, "REMOTE_AGENT_STATE_DIR": str(tmp_path)})
    assert {name: str(at) for name, at in config.python.environments.items()} == {
        "airflow": "/opt/airflow/venv"
    }
    image = (AGENT.parent / "tasks.Dockerfile").read_text()
    assert "venv /opt/airflow/venv " in image
    assert config.python.warm_memory == 1 << 30
    assert faults(rendered("agent", AGENT.read_text()), tmp_path / "all.yaml") == []
