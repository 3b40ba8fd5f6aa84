"""Every block of docs/install-kubernetes.md and install-ecs.md as it stands, beside a real server.

There is no cluster and no account at AWS: Helm and `kubectl create` are the real ones and work out
what they would send (`--dry-run=client`); for what only a cluster or AWS can answer, stand-ins keep
the call, and the test holds it against the chart and the template.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import blocks
from tests.kubernetes.test_ecs import TEMPLATE, Stack, template
from tests.kubernetes.tools import INSTALLERS, ROOT, TOOLS, documents, faults, only
from tests.support.stack import Stack as Server

__all__ = ["template"]

STAND_IN = f"""\
#!{sys.executable} -S
import json, os, subprocess, sys
name = os.path.basename(sys.argv[0])
call = {{"words": [name, *sys.argv[1:]], "printed": ""}}
if name == "helm" or sys.argv[1] == "create":
    last = ["json"] if name == "helm" else ["yaml"]
    program = os.path.join({str(TOOLS / "bin")!r}, name)
    command = [program, *sys.argv[1:], "--dry-run=client", "-o", *last]
    call["printed"] = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
with open(os.environ["CALLS"], "a") as file:
    print(json.dumps(call), file=file)
"""


class Reader:
    """Somebody who types what a page says, in a folder with the installers."""

    def __init__(self, server: Server, folder: Path) -> None:
        programs = folder / "bin"
        programs.mkdir()
        for name in ("helm", "kubectl", "aws"):
            (programs / name).write_text(STAND_IN)
            (programs / name).chmod(0o755)
        self.folder = folder / "checkout"
        self.folder.mkdir()
        (self.folder / "installers").symlink_to(INSTALLERS)
        self._calls = folder / "calls"
        self._env = server.env(
            PATH=f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            CALLS=str(self._calls),
            REMOTE_URL=server.url,
            REMOTE_TOKEN=server.admin_token,
        )

    def play(self, page: str) -> list[dict[str, Any]]:
        """Type all blocks of a page; what was called of the programs that have stand-ins."""
        document = ROOT / "docs" / page
        found = [block for block in blocks(document.read_text()) if block.language == "sh"]
        assert found and not any(block.not_run for block in found)
        for block in found:
            done = subprocess.run(
                ["sh", "-e", "-c", block.text],
                cwd=self.folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            said = f"line {block.line} of {page}:\n{done.stdout}{done.stderr}"
            assert done.returncode == 0, said
        return [json.loads(line) for line in self._calls.read_text().splitlines()]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path) as server:
        server.start_server()
        for queue in ("berlin", "production"):
            server.ctl("queue", "create", queue, check=True)
        yield server


@pytest.fixture
def reader(server: Server, tmp_path: Path) -> Reader:
    return Reader(server, tmp_path)


def test_the_page_about_kubernetes(reader: Reader, server: Server, tmp_path: Path) -> None:
    calls = reader.play("install-kubernetes.md")
    verbs = [call["words"][:2] for call in calls]
    assert verbs == [
        *(["helm", "install"], ["kubectl", "exec"], ["kubectl", "create"], ["helm", "install"]),
        *(["kubectl", "create"], ["kubectl", "apply"]),
    ]
    the_server, shown, secret, agents, namespace, applied = calls
    manifests = [json.loads(call["printed"])["manifest"] for call in (the_server, agents)]
    for text in (*manifests, secret["printed"], namespace["printed"]):
        assert faults(text, tmp_path / "sent.yaml") == []

    # The token is that of the pod that the chart makes, where the server of the chart keeps it.
    workload = only(documents(manifests[0]), "StatefulSet")
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    (folder,) = (e["value"] for e in container["env"] if e["name"] == "REMOTE_SERVER_DATA_DIR")
    pod = f"{workload['metadata']['name']}-0"
    asked = ["exec", "-n", "remote", pod, "--", "cat", f"{folder}/admin-token"]
    assert shown["words"][1:] == asked

    # The secret is the one that the agents' chart mounts, and its token covers their queue.
    (made,) = documents(secret["printed"])
    pods = only(documents(manifests[1]), "StatefulSet")["spec"]["template"]["spec"]
    assert made["metadata"] == {"name": "remote-agent-token", "namespace": "remote"}
    assert "remote-agent-token" in json.dumps(pods["volumes"])
    assert list(made["data"]) == ["token"]
    token = (reader.folder / "token").read_text().strip()
    registered = server.register("pod", "--queue", "berlin", token=token, check=False)
    assert registered.returncode == 0, registered.stderr

    files = [word for word in applied["words"] if word.endswith(".yaml")]
    assert len(files) == 2
    for file in files:
        assert faults((reader.folder / file).read_text(), tmp_path / "sent.yaml") == []


def test_the_page_about_ecs(
    reader: Reader, server: Server, template: dict[str, Any], tmp_path: Path
) -> None:
    (call,) = reader.play("install-ecs.md")
    words = call["words"]
    assert words[:3] == ["aws", "cloudformation", "create-stack"]
    file = words[words.index("--template-body") + 1].removeprefix("file://")
    assert (reader.folder / file).resolve() == TEMPLATE
    given = dict(_parameter(word) for word in words[words.index("--parameters") + 1 :])
    parameters = template["Parameters"]
    assert given.keys() <= parameters.keys()
    assert {name for name in parameters if "Default" not in parameters[name]} <= given.keys()
    stack = Stack(template, **given)
    assert stack.refused() == []
    # It makes roles: AWS wants that to be said.
    roles = [r for r in template["Resources"].values() if r["Type"] == "AWS::IAM::Role"]
    assert roles and words[words.index("--capabilities") + 1] == "CAPABILITY_IAM"
    assert not any("RoleName" in role["Properties"] for role in roles)
    queue = stack.environment()["REMOTE_AGENT_QUEUES"]
    registered = server.register(
        "task", "--queue", queue, token=given["DataHubAccessToken"], check=False
    )
    assert registered.returncode == 0, registered.stderr


def _parameter(word: str) -> tuple[str, str]:
    """`ParameterKey=NAME,ParameterValue=TEXT`, as the command line of AWS takes it."""
    key, _, value = word.partition(",")
    assert key.startswith("ParameterKey=") and value.startswith("ParameterValue="), word
    return key.partition("=")[2], value.partition("=")[2]
