"""The charts: linted, rendered with many values, validated by Kubernetes' own schemas."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.kubernetes.tools import (
    CHARTS,
    ROOT,
    TOOLS,
    Document,
    call,
    documents,
    faults,
    helm,
    only,
)
from tests.kubernetes.tools import rendered as render

URL = "server: {url: https://jobs.example.com}\n"
AGENT = {
    "as little as can be said": URL,
    "everything": URL
    + """
image: {repository: example/agent, tag: "1.2", pullPolicy: Always}
imagePullSecrets: [{name: pull}]
server: {url: http://remote-server:8750, insecure: true, caSecret: {name: ca, key: root.pem}}
token: {secret: other, key: text}
queues: [berlin, default.2]
labels: {zone: a, gpu: "true"}
capacity: 8
secrets: [source-credentials, more]
env: [{name: HTTPS_PROXY, value: "http://proxy:3128"}]
envFrom: [{configMapRef: {name: settings}}]
replicas: 3
replace: true
persistence: {size: 100Gi, storageClass: fast}
terminationGracePeriodSeconds: 3600
serviceAccount: {name: jobs, annotations: {"example.com/role": jobs}, automountToken: true}
podAnnotations: {a: b}
podLabels: {c: d}
priorityClassName: high
nodeSelector: {disk: ssd}
tolerations: [{key: jobs, operator: Exists}]
affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}
topologySpreadConstraints:
  - {maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway, labelSelector: {}}
extraVolumes: [{name: data, emptyDir: {}}]
extraVolumeMounts: [{name: data, mountPath: /data}]
networkPolicy:
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]
  serverPorts: [443, 8750]
autoscaling: {enabled: true, prometheus: "http://prometheus:9090", maxReplicas: 30}
""",
    "ephemeral": URL + "ephemeral: true\nidleTimeout: 10m\nreplicas: 0\n",
    "ephemeral and scaled": URL
    + "ephemeral: true\nautoscaling: {enabled: true, prometheus: 'http://p:9090'}\n",
    "without what is around it": URL
    + "serviceAccount: {create: false}\npodDisruptionBudget: {enabled: false}\n"
    + "networkPolicy: {enabled: false}\n",
}
SERVER = {
    "as little as can be said": "{}",
    "everything": """
image: {repository: example/server, tag: "1.2"}
imagePullSecrets: [{name: pull}]
persistence: {existingClaim: mine}
database: postgresql://remote@db.example.org/remote
databasePassword: {secret: db}
tls: {secret: own}
env: [{name: REMOTE_SERVER_LOGS_PACK_AFTER, value: 1m}]
service: {type: LoadBalancer, port: 443, annotations: {a: b}}
ingress: {enabled: true, host: jobs.example.com, tlsSecret: cert, className: ""}
serviceMonitor:
  {enabled: true, tokenSecret: metrics, labels: {release: p}, tlsConfig: {serverName: jobs.example}}
networkPolicy: {from: [{namespaceSelector: {}}]}
priorityClassName: high
nodeSelector: {disk: ssd}
tolerations: [{operator: Exists}]
affinity: {nodeAffinity: {}}
extraVolumes: [{name: data, emptyDir: {}}]
extraVolumeMounts: [{name: data, mountPath: /data}]
""",
    "without what is around it": "serviceAccount: {create: false}\n"
    + "networkPolicy: {enabled: false}\n",
}
CASES = [("agent", name) for name in AGENT] + [("server", name) for name in SERVER]


def values(program: str, name: str) -> str:
    return (AGENT if program == "agent" else SERVER)[name]


def container(workload: Document) -> Document:
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    return dict(found)


def environment(workload: Document) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "pod-0") for entry in container(workload)["env"]}


@pytest.mark.parametrize("program", ["agent", "server"])
def test_helm_finds_nothing_wrong(program: str, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(values(program, "everything"))
    done = helm("lint", "--strict", CHARTS / f"remote-{program}", "--values", file)
    assert done.returncode == 0 and "0 chart(s) failed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(("program", "name"), CASES)
def test_what_is_rendered_is_valid(program: str, name: str, tmp_path: Path) -> None:
    assert faults(render(program, values(program, name)), tmp_path / "all.yaml") == []


def test_the_validation_finds_what_is_wrong(tmp_path: Path) -> None:
    text = render("agent", URL).replace("enableServiceLinks", "enableServiceLink")
    assert any("enableServiceLink" in line for line in faults(text, tmp_path / "all.yaml"))


@pytest.mark.parametrize(
    ("program", "wrong", "words"),
    [
        ("agent", "{}", "server.url is missing"),
        ("agent", "server: {url: jobs.example.com}", "/server/url"),
        ("agent", URL + "queue: berlin", "'queue' not allowed"),
        ("agent", URL + "terminationGracePeriodSeconds: 10", "minimum"),
        ("agent", URL + "queues: []", "/queues"),
        ("agent", URL + "autoscaling: {enabled: true}", "autoscaling.prometheus is missing"),
        ("server", "ingress: {enabled: true}", "ingress.host is missing"),
        ("server", "database: postgresql://me:secret@db/x", "/database"),
        ("server", "replicas: 2", "'replicas' not allowed"),
    ],
)
def test_wrong_values_are_refused_by_name(program: str, wrong: str, words: str) -> None:
    done = call(
        *(TOOLS / "bin" / "helm", "template", "test", CHARTS / f"remote-{program}"),
        *("--values", "-"),
        stdin=wrong,
    )
    assert done.returncode != 0 and words in done.stderr, done.stderr


def test_the_raw_manifests_are_current(tmp_path: Path) -> None:
    done = call("bash", "installers/kubernetes/render.sh", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("agent.yaml", "server.yaml"):
        text = (ROOT / "installers" / "kubernetes" / "manifests" / name).read_text()
        assert text == (tmp_path / name).read_text(), "bash installers/kubernetes/render.sh"
        assert faults(text, tmp_path / f"checked-{name}") == []


@pytest.mark.parametrize(("program", "name"), CASES)
def test_pods_have_no_privileges(program: str, name: str) -> None:
    found = documents(render(program, values(program, name)))
    workload = only(found, "StatefulSet", "Deployment")
    pod = workload["spec"]["template"]["spec"]
    context = container(workload)["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
    assert not any(document["kind"] == "Secret" for document in found)


@pytest.mark.parametrize("name", AGENT)
def test_the_agent_knows_every_variable(name: str, tmp_path: Path) -> None:
    workload = only(documents(render("agent", AGENT[name])), "StatefulSet", "Deployment")
    env = environment(workload)
    bin_ = Path(sys.executable).parent
    done = subprocess.run(
        [bin_ / "remote-agent", "config", "--output", "json"],
        env={**env, "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    agents = {name for name in env if name.startswith("REMOTE_AGENT_")}
    calls = {"STATE_DIR", "TOKEN_FILE", "EPHEMERAL", "IDLE_TIMEOUT", "REPLACE"}
    for variable in agents - {f"REMOTE_AGENT_{key}" for key in calls}:
        assert f'"{variable}"' in done.stdout, variable


@pytest.mark.parametrize("name", SERVER)
def test_the_server_knows_every_variable(name: str, tmp_path: Path) -> None:
    workload = only(documents(render("server", SERVER[name])), "StatefulSet")
    env = environment(workload) | {"REMOTE_SERVER_DATA_DIR": str(tmp_path), "NO_COLOR": "1"}
    for gone in ("REMOTE_SERVER_TLS_CERT", "REMOTE_SERVER_TLS_KEY", "REMOTE_SERVER_DATABASE"):
        env.pop(gone, None)  # there is neither here
    done = subprocess.run(
        [Path(sys.executable).parent / "remote-server", "check"],
        env={**env, "PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "unknown" not in done.stderr and done.returncode in (0, 1), done.stderr


@pytest.mark.parametrize("name", AGENT)
def test_a_termination_uses_the_whole_notice(name: str) -> None:
    workload = only(documents(render("agent", AGENT[name])), "StatefulSet", "Deployment")
    notice = workload["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    env = environment(workload)
    assert env["REMOTE_AGENT_ON_STOP"] == "drain"
    # The rest is for jobs to end politely and for the last of their logs.
    assert env["REMOTE_AGENT_STOP_TIMEOUT"] == f"{notice - 45}s"
    assert "lifecycle" not in container(workload)


def test_pods_of_a_stateful_set_keep_their_identity() -> None:
    workload = only(documents(render("agent", AGENT["everything"])), "StatefulSet")
    (claim,) = workload["spec"]["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container(workload)["volumeMounts"]}
    env = environment(workload)
    # Not the volume's root: that belongs to root.
    assert Path(env["REMOTE_AGENT_STATE_DIR"]).parent == Path(mounts[claim["metadata"]["name"]])
    assert "REMOTE_AGENT_EPHEMERAL" not in env
    assert mounts["secrets"] == "/mnt/secrets"


def test_ephemeral_pods_leave_the_server() -> None:
    workload = only(documents(render("agent", AGENT["ephemeral"])), "Deployment")
    env = environment(workload)
    assert env["REMOTE_AGENT_EPHEMERAL"] == "true" and env["REMOTE_AGENT_IDLE_TIMEOUT"] == "10m"
    assert "volumeClaimTemplates" not in workload["spec"]


def test_the_probes_look_at_new_files(tmp_path: Path) -> None:
    workload = only(documents(render("agent", URL)), "StatefulSet")
    file = tmp_path / "file"
    for probe, variable in (("livenessProbe", "LIVENESS"), ("readinessProbe", "READINESS")):
        command = container(workload)[probe]["exec"]["command"]
        env = {"PATH": os.environ["PATH"], f"REMOTE_AGENT_{variable}_FILE": str(file)}

        def healthy(command: list[str] = command, env: dict[str, str] = env) -> bool:
            done = subprocess.run(command, env=env, capture_output=True, timeout=300, check=False)
            return done.returncode == 0

        file.unlink(missing_ok=True)
        assert not healthy()
        file.touch()
        assert healthy()
        os.utime(file, (0, time.time() - 180))
        assert not healthy()


def test_scaling_asks_for_metrics_that_the_server_has() -> None:
    scaled = only(documents(render("agent", AGENT["everything"])), "ScaledObject")
    workload = only(documents(render("agent", AGENT["everything"])), "StatefulSet")
    target = scaled["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("StatefulSet", workload["metadata"]["name"])
    assert "replicas" not in workload["spec"]  # an upgrade leaves the number alone
    jobs, oldest = (trigger["metadata"] for trigger in scaled["spec"]["triggers"])
    assert jobs["threshold"] == "8" and oldest["threshold"] == "120"
    gauges = (ROOT / "server" / "remote_server" / "queries" / "gauges.py").read_text()
    for query, metric in (
        (jobs["query"], "remote_jobs"),
        (oldest["query"], "remote_queue_oldest_seconds"),
    ):
        assert f"({metric}{{" in query and f'"{metric}"' in gauges
        assert 'queue=~"berlin|default\\\\.2"' in query


def test_the_ingress_lets_web_sockets_live() -> None:
    ingress = only(documents(render("server", SERVER["everything"])), "Ingress")
    notes = ingress["metadata"]["annotations"]
    prefix = "nginx.ingress.kubernetes.io/proxy-"
    assert (
        int(notes[f"{prefix}read-timeout"]) >= 3600 and int(notes[f"{prefix}send-timeout"]) >= 3600
    )
    assert notes[f"{prefix}buffering"] == "off" and notes[f"{prefix}body-size"] == "0"


def test_shell_scripts_are_correct() -> None:
    for script in (ROOT / "installers" / "kubernetes").glob("*.sh"):
        assert (
            subprocess.run([shutil.which("bash") or "bash", "-n", script], check=False).returncode
            == 0
        )
