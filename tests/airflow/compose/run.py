"""Airflow's own Compose file with our override beside it: a task of it runs on an agent.

    python -m tests.airflow.compose.run COMPOSE

COMPOSE is Airflow's docker-compose.yaml, which is not in this checkout. No image can be pulled:
those of PostgreSQL, Redis and Airflow are made of Debian's and Airflow's packages, with the entry
points that the file relies on; Airflow's is then the base of ours, as the guide has it. Runs in
namespaces of its own, as `make test-airflow-compose` has them.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import httpx

from tests.containers.engine import ROOT, Engine, until
from tests.containers.stack import Stack

HERE: Final = Path(__file__).resolve().parent
FILES: Final = ROOT / "installers" / "airflow"
MADE: Final = ROOT / "build" / "airflow-compose"
VERSION: Final = "3.3.2"
IMAGE: Final = f"airflow-remote:{VERSION}"
PROJECT: Final = "airflow"
URL: Final = "http://127.0.0.1:8080"
"""Where the file publishes Airflow's API."""
USER: Final = 50000
"""Airflow's, in its image."""
TOOK: Final = 600.0
"""Seconds until Airflow answers: it makes its database first."""


def step(words: str) -> None:
    """Say what is being done."""
    print(f"airflow-compose: {words}", flush=True)


class Deployment:
    """Images, a server, Airflow by Compose, an agent."""

    def __init__(self, docker: Engine, official: Path) -> None:
        self.docker = docker
        self.official = official
        self.folder = docker.folder / PROJECT
        self.stack = Stack(docker)
        self._http = httpx.Client(base_url=URL, timeout=120)

    # Images --------------------------------------------------------------------------------

    def images(self) -> None:
        """All that is needed, by the names that the files have."""
        docker = self.docker
        docker.call("import", MADE / "base.tar", "base")
        for program, tag in (("postgres", "postgres:16"), ("redis", "redis:7.2-bookworm")):
            self._build(HERE / f"{program}.Dockerfile", tag, HERE)
        wheels = docker.folder / "wheels"
        (wheels / "dist").mkdir(parents=True)
        shutil.copytree(MADE / "wheels", wheels / "dist" / "airflow-wheels")
        shutil.copy(HERE / "entrypoint.sh", wheels)
        airflow = f"apache/airflow:{VERSION}"
        self._build(HERE / "airflow.Dockerfile", airflow, wheels)
        shutil.copytree(ROOT / "installers", docker.folder / "context" / "installers")
        shutil.copytree(ROOT / "dist", docker.folder / "context" / "dist")
        shutil.copytree(ROOT / "requirements", docker.folder / "context" / "requirements")
        server_wheels = ROOT / "build" / "containers" / "wheels"
        shutil.copytree(server_wheels, docker.folder / "context" / "dist" / "wheels")
        (wheels / "dist" / "airflow-wheels").rename(
            docker.folder / "context" / "dist" / "airflow-wheels"
        )
        context = docker.folder / "context"
        ours = context / "installers"
        self._build(ours / "airflow" / "Dockerfile", IMAGE, context, BASE=airflow)
        base = {"BASE": "base", "PIP_NO_INDEX": "1"}
        self._build(ours / "container" / "server.Dockerfile", "remote-server", context, **base)
        self._build(ours / "airflow" / "tasks.Dockerfile", "airflow-tasks", context, **base)
        self._build(
            ours / "container" / "agent.Dockerfile", "remote-agent", context, BASE="airflow-tasks"
        )

    def _build(self, file: Path, tag: str, context: Path, **arguments: str) -> None:
        step(f"the image {tag}")
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()]
        self.docker.call("build", "-q", "-f", file, *given, "-t", tag, context)

    # What runs -----------------------------------------------------------------------------

    def start(self) -> None:
        """A server, Airflow as its page has it, and an agent; all of them can be reached."""
        self.stack.start_server()
        self._lay_out()
        step("compose up")
        # The one that Compose would make, so that it has the server when the services start.
        named = (
            f"--label=com.docker.compose.{key}" for key in ("network=default", f"project={PROJECT}")
        )
        self.docker.call("network", "create", *named, f"{PROJECT}_default")
        self.docker.call("network", "connect", f"{PROJECT}_default", "server")
        # Airflow's file gives up on an api-server that needs three minutes, as on a busy machine.
        until(lambda: self._composed("up", "-d").returncode == 0, "Compose is through", TOOK)
        options = ("--tmpfs", "/home/remote-agent:uid=10001,gid=10001,mode=700")
        self.stack.agent(
            "alpha", *options,
            PYTHON_ENVIRONMENTS="airflow=/opt/airflow/venv", PYTHON_WARM_MEMORY="1GiB",
        )  # fmt: skip
        self.docker.call("network", "connect", f"{PROJECT}_default", "alpha")
        until(self._answers, "Airflow's API answers", TOOK)
        known = {"username": "airflow", "password": "airflow"}
        made = self._http.post("/auth/token", json=known).raise_for_status().json()
        self._http.headers["Authorization"] = f"Bearer {made['access_token']}"

    def _lay_out(self) -> None:
        """A folder as Airflow's page has it, with our two files in it."""
        self.folder.mkdir()
        for name in ("dags", "logs", "config", "plugins"):
            (self.folder / name).mkdir()
            os.chown(self.folder / name, USER, 0)
        shutil.copy(self.official, self.folder / "docker-compose.yaml")
        shutil.copy(FILES / "docker-compose.override.yaml", self.folder)
        shutil.copy(HERE / "remote_compose.py", self.folder / "dags")
        token = self.folder / "remote-token"
        made = self.stack.ctl("token", "create", "--role", "operator", "--name", "airflow")
        token.write_bytes(made.split()[-1] + b"\n")
        token.chmod(0o400)
        os.chown(token, USER, 0)
        settings = {
            "AIRFLOW_UID": USER,
            "AIRFLOW_IMAGE_NAME": IMAGE,
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
            "REMOTE_URL": "http://server:8750",
            "REMOTE_EXECUTION_API_URL": "http://airflow-apiserver:8080/execution/",
        }
        lines = "".join(f"{name}={value}\n" for name, value in settings.items())
        (self.folder / ".env").write_text(lines)

    def _compose(self, *words: str) -> str:
        done = self._composed(*words)
        assert done.returncode == 0, f"docker-compose {words}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def _composed(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker-compose", "-p", PROJECT, *words],
            env=self.docker.env, cwd=self.folder, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip

    def _answers(self) -> bool:
        try:
            return self._http.get("/api/v2/version").status_code == 200
        except httpx.HTTPError:
            return False

    # What is looked at ---------------------------------------------------------------------

    def settings_arrive(self) -> None:
        """Each of Airflow's parts can ask the server: `airflow remote check` in its container."""
        for part in ("apiserver", "scheduler", "dag-processor", "triggerer"):
            said = self._compose("exec", "-T", f"airflow-{part}", "airflow", "remote", "check")
            assert "1 of 1" in said or "online" in said, said
            step(f"airflow-{part}: {said.strip().splitlines()[-1]}")

    def a_task_runs(self) -> None:
        """On the agent, its DAG sent with it, its log in Airflow's API."""
        dag = "/api/v2/dags/remote_compose"
        until(lambda: self._http.get(dag).status_code == 200, "the DAG is known", TOOK)
        self._http.patch(dag, json={"is_paused": False}).raise_for_status()
        made = self._http.post(f"{dag}/dagRuns", json={"logical_date": None})
        run = f"{dag}/dagRuns/{made.raise_for_status().json()['dag_run_id']}"
        until(lambda: self._state(run) in ("success", "failed"), "the run has ended", TOOK)
        log = self._log(f"{run}/taskInstances/on_agent/logs/1")
        assert self._state(run) == "success", log
        assert "this is agent alpha" in log, log
        step("the task's log by Airflow's API: " + _line(log, "this is agent alpha"))
        (job,) = json.loads(self.stack.ctl("job", "list", "--output", "json"))["items"]
        assert (job["agent"], job["state"]) == ("alpha", "succeeded"), job
        celery = self._log(f"{run}/taskInstances/by_celery/logs/1")
        assert "this is a worker of Celery" in celery, celery
        step("the other task ran by Celery, as before")

    def _state(self, run: str) -> Any:
        return self._http.get(run).raise_for_status().json()["state"]

    def _log(self, path: str) -> str:
        found = self._http.get(path, params={"full_content": "true"}).raise_for_status().json()
        return "\n".join(json.dumps(line) for line in found["content"])

    def explain(self) -> str:
        """What the containers have said, their last lines."""
        names = self.docker.run("ps", "-a", "--format", "{{.Names}}").stdout.split()
        said = [f"== {name}\n{self.docker.log(name)[-3000:]}" for name in names]
        return "\n".join([self.docker.run("ps", "-a").stdout, *said])


def _line(log: str, words: str) -> str:
    return next(line for line in log.splitlines() if words in line)


def main() -> int:
    """Play it; what was seen goes to stdout."""
    assert os.geteuid() == 0, "make test-airflow-compose needs root, to run a container engine"
    with Engine() as docker:
        deployment = Deployment(docker, Path(sys.argv[1]).resolve())
        deployment.images()
        try:
            deployment.start()
            deployment.settings_arrive()
            deployment.a_task_runs()
        except BaseException:
            print(deployment.explain(), file=sys.stderr)
            raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
