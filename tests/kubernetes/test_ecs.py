"""The CloudFormation template of ECS: linted, and worked out for some parameters."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes.tools import INSTALLERS, ROOT, TOOLS, call

TEMPLATE = INSTALLERS / "ecs" / "agent.yaml"
SEEDS = {
    *("ExecutorPoolId", "VPCID", "SubnetID", "DataHubBaseUrl", "DataHubAccessToken"),
    *("ImageTag", "SourceSecrets", "EnvironmentVariables"),
}
GIVEN = {
    "ExecutorPoolId": "production",
    "DataHubBaseUrl": "https://jobs.example.com",
    "DataHubAccessToken": "rrt_" + "x" * 40,
    "VPCID": "vpc-1",
    "SubnetID": "subnet-1",
    "ImageRepository": "agents",
}
_DECODE = (
    "import cfnlint.decode, json, sys; print(json.dumps(cfnlint.decode.decode(sys.argv[1])[0]))"
)


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    done = call(TOOLS / "venv" / "bin" / "python", "-c", _DECODE, TEMPLATE)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


class Stack:
    """What CloudFormation makes of a template with these parameters; only what it uses."""

    def __init__(self, template: dict[str, Any], **given: str) -> None:
        self._template = template
        self.parameters = {
            name: str(given.get(name, parameter.get("Default", "")))
            for name, parameter in template["Parameters"].items()
        }

    def refused(self) -> list[str]:
        """Parameters whose pattern does not allow what is given."""
        patterns = {n: p.get("AllowedPattern") for n, p in self._template["Parameters"].items()}
        return [n for n, p in patterns.items() if p and not re.fullmatch(p, self.parameters[n])]

    def value(self, node: Any) -> Any:
        """A node with its functions worked out; `AWS::NoValue` leaves its list or mapping."""
        if isinstance(node, list):
            return [value for entry in node if (value := self.value(entry)) != "AWS::NoValue"]
        if not isinstance(node, dict):
            return node
        if len(node) != 1 or not (name := next(iter(node))).startswith(("Fn::", "Ref")):
            worked = {key: self.value(entry) for key, entry in node.items()}
            return {key: entry for key, entry in worked.items() if entry != "AWS::NoValue"}
        return getattr(self, "_" + name.rpartition(":")[2].lower())(node[name])

    def _ref(self, name: str) -> str:
        return self.parameters.get(name, name)

    def _getatt(self, place: Any) -> str:
        return place if isinstance(place, str) else ".".join(place)

    def _sub(self, text: str) -> str:
        return re.sub(r"\$\{([\w:]+)\}", lambda found: self._ref(found[1]), text)

    def _split(self, words: list[Any]) -> list[str]:
        return list(self.value(words[1]).split(words[0]))

    def _select(self, words: list[Any]) -> Any:
        return self.value(words[1])[int(words[0])]

    def _equals(self, words: list[Any]) -> bool:
        return bool(self.value(words[0]) == self.value(words[1]))

    def _not(self, words: list[Any]) -> bool:
        return not self.value(words[0])

    def _if(self, words: list[Any]) -> Any:
        condition = self.value(self._template["Conditions"][words[0]])
        return self.value(words[1] if condition else words[2])

    def properties(self, resource: str) -> dict[str, Any]:
        """Those of one resource."""
        found: dict[str, Any] = self.value(self._template["Resources"][resource]["Properties"])
        return found

    def container(self) -> dict[str, Any]:
        """The one of the task."""
        (found,) = self.properties("Task")["ContainerDefinitions"]
        return dict(found)

    def environment(self) -> dict[str, str]:
        """Of its container."""
        return {entry["Name"]: entry["Value"] for entry in self.container()["Environment"]}


def test_the_linter_finds_nothing() -> None:
    done = call(TOOLS / "venv" / "bin" / "cfn-lint", "--include-checks", "I", "--", TEMPLATE)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_linter_finds_what_is_wrong(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(TEMPLATE.read_text().replace("StopTimeout: 120", "StopTimeOut: 120"))
    done = call(TOOLS / "venv" / "bin" / "cfn-lint", "--", wrong)
    assert done.returncode != 0 and "StopTimeOut" in done.stdout


def test_the_parameters_are_those_that_users_know(template: dict[str, Any]) -> None:
    parameters = template["Parameters"]
    assert parameters.keys() >= SEEDS
    assert parameters["DataHubAccessToken"]["NoEcho"] is True
    guide = (ROOT / "docs" / "install-ecs.md").read_text()
    assert [name for name in parameters if f"`{name}`" not in guide] == []


def test_the_agent_gets_what_was_said(template: dict[str, Any], tmp_path: Path) -> None:
    stack = Stack(template, **GIVEN, Capacity="4")
    assert stack.refused() == []
    env = stack.environment()
    assert env["REMOTE_AGENT_QUEUES"] == "production"
    assert env["REMOTE_AGENT_SERVER"] == "https://jobs.example.com"
    assert GIVEN["DataHubAccessToken"] not in json.dumps(stack.container())
    assert stack.container()["Secrets"] == [{"Name": "REMOTE_AGENT_TOKEN", "ValueFrom": "Token"}]
    done = subprocess.run(
        [Path(sys.executable).parent / "remote-agent", "config"],
        env={**env, "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 'capacity = { "default" = 4 }  # REMOTE_AGENT_CAPACITY' in done.stdout
    assert 'stop_timeout = "1m15s"  # REMOTE_AGENT_STOP_TIMEOUT' in done.stdout


def test_a_stop_uses_the_whole_notice(template: dict[str, Any]) -> None:
    stack = Stack(template, **GIVEN)
    assert stack.container()["StopTimeout"] == 120
    assert stack.environment()["REMOTE_AGENT_STOP_TIMEOUT"] == f"{120 - 45}s"
    assert stack.environment()["REMOTE_AGENT_ON_STOP"] == "drain"


def test_secrets_and_variables_reach_the_jobs(template: dict[str, Any]) -> None:
    arns = [f"arn:aws:secretsmanager:eu-west-1:1:secret:{name}" for name in ("db", "api")]
    stack = Stack(
        template,
        **GIVEN,
        SourceSecrets=f"DB_PASSWORD={arns[0]},API_KEY={arns[1]}",
        EnvironmentVariables="LOG_LEVEL=DEBUG,EMPTY=,C=3,D=4,E=5",
    )
    assert stack.refused() == []
    secrets = {entry["Name"]: entry["ValueFrom"] for entry in stack.container()["Secrets"]}
    assert secrets == {"REMOTE_AGENT_TOKEN": "Token", "DB_PASSWORD": arns[0], "API_KEY": arns[1]}
    (policy,) = stack.properties("ExecutionRole")["Policies"]
    assert policy["PolicyDocument"]["Statement"][0]["Resource"] == ["Token", *arns]
    env = stack.environment()
    assert [env[name] for name in ("LOG_LEVEL", "EMPTY", "C", "D", "E")] == [
        "DEBUG",
        "",
        "3",
        "4",
        "5",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DataHubBaseUrl", "http://jobs.example.com"),
        ("SourceSecrets", "DB_PASSWORD"),
        ("SourceSecrets", ",".join(f"S{i}=arn:x" for i in range(6))),
        ("EnvironmentVariables", "A=b=c"),
        ("EnvironmentVariables", ",".join(f"V{i}=x" for i in range(6))),
        ("ExecutorPoolId", "two words"),
    ],
)
def test_what_would_be_cut_is_refused(template: dict[str, Any], name: str, text: str) -> None:
    assert Stack(template, **{**GIVEN, name: text}).refused() == [name]


def test_nobody_can_connect_to_a_task(template: dict[str, Any]) -> None:
    group = Stack(template, **GIVEN).properties("SecurityGroup")
    assert "SecurityGroupIngress" not in group
    assert "TaskRoleArn" not in Stack(template, **GIVEN).properties("Task")
    role = "arn:aws:iam::1:role/jobs"
    assert Stack(template, **GIVEN, TaskRoleArn=role).properties("Task")["TaskRoleArn"] == role
