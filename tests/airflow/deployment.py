"""A real Airflow beside a stack, with the provider of this checkout.

PostgreSQL, api-server, scheduler, dag-processor, triggerer, all on loopback; its processes carry
the stack's mark.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.airflow import engine
from tests.airflow.repository import Repository
from tests.support.ports import free_port
from tests.support.postgresql import PostgresServer
from tests.support.stack import Program, Stack, until

if TYPE_CHECKING:
    from tests.airflow.teams import Teams

HERE = Path(__file__).resolve().parent
VERSION = os.environ.get("AIRFLOW")
"""Of Airflow, if another one than the pinned one."""
VENV = HERE.parents[1] / "build" / f"airflow{f'-{VERSION}' if VERSION else ''}" / "venv"
PARTS = ("api-server", "dag-processor", "scheduler", "triggerer")
LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"
GIT = "airflow.providers.git.bundles.git.GitDagBundle"
GIT_OPTIONS = {"tracking_ref": "main", "git_conn_id": "repository"}
EXECUTOR = "Remote:remote_airflow.executor.RemoteExecutor"


def bundle(name: str, classpath: str, **options: Any) -> dict[str, Any]:
    """As the list of bundles has it."""
    return {"name": name, "classpath": classpath, "kwargs": options}


class Airflow:
    """One deployment."""

    def __init__(
        self,
        root: Path,
        stack: Stack,
        postgres: PostgresServer,
        *,
        venv: Path = VENV,
        dags: Path = HERE / "dags",
        docker: str = "",
        teams: Teams | None = None,
        **env: str,
    ) -> None:
        """`env` are variables of all its programs, instead of those that tests have."""
        self.root = root
        self.venv = venv
        self._dags = dags
        self._teams = teams
        self.stack = stack
        self._docker = docker
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Of a proxy with and one without a password, where a test has them.
        self.proxy_ports = free_port(), free_port()
        for name in ("home", "agent-home", "said-folder"):
            (root / name).mkdir(parents=True)
        self.said_folder = root / "said-folder"
        self.host_bundles = root / "agent-home" / "bundles"
        # A bundle that no agent's host knows.
        self.pushed = root / "pushed"
        shutil.copytree(HERE / "pushed", self.pushed)
        # One with versions, of which only Airflow's own hosts have the class.
        self.versioned = root / "versioned"
        # Two of git: one that hosts fetch themselves, and one that comes with its tasks.
        self.repository = Repository(root / "repository")
        self.commits: dict[str, str] = {}
        """Of each version."""
        self.release("v1")
        local = {"dags-folder": dags, "pushed": self.pushed}
        versions = {"root": str(self.versioned), "refresh_interval": 1}
        bundles = [
            *(bundle(name, LOCAL, path=str(path)) for name, path in local.items()),
            bundle("versioned", "versioned_folder.VersionedFolder", **versions),
            *(
                # Fetched when somebody asks for it.
                bundle(name, GIT, subdir=name, **GIT_OPTIONS, refresh_interval=3600)
                for name in ("git_fetched", "git_pushed")
            ),
        ]
        of_hosts = [one for one in bundles if one["name"] in ("dags-folder", "git_fetched")]
        if teams is not None:
            bundles += teams.bundles()
        database = postgres.create_database().replace("postgresql://", "postgresql+psycopg2://")
        secret = "a secret of these tests, at least as long as needed for the hash" * 2
        self.env = stack.env(
            AIRFLOW_HOME=str(root / "home"),
            AIRFLOW__API__BASE_URL=self.url,
            AIRFLOW__API__SECRET_KEY=secret,
            AIRFLOW__API_AUTH__JWT_SECRET=secret,
            AIRFLOW__CORE__DAGS_FOLDER=str(dags),
            AIRFLOW__CORE__EXECUTOR=EXECUTOR,
            AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{self.url}/execution/",
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
            AIRFLOW__CORE__PARALLELISM="32",
            AIRFLOW__CORE__TEST_CONNECTION="Enabled",
            AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG="32",
            AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="False",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database,
            AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS="remote_airflow.log_settings.LOGGING_CONFIG",
            AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(bundles),
            AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH=str(root / "home" / "bundles"),
            AIRFLOW_CONN_REPOSITORY=json.dumps(
                {"conn_type": "git", "host": str(self.repository.bare)}
            ),
            AIRFLOW__REMOTE__PUSH_BUNDLES="pushed,versioned,git_pushed",
            AIRFLOW__REMOTE__URL=stack.url,
            AIRFLOW__REMOTE__TOKEN_FILE=str(stack.data_dir / "admin-token"),
            AIRFLOW__REMOTE__ENV=json.dumps(
                {
                    "AIRFLOW_HOME": str(root / "agent-home"),
                    "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
                    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(of_hosts),
                    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(self.host_bundles),
                    "AIRFLOW_TESTS": str(self.said_folder),
                    **({"DOCKER_HOST": docker} if docker else {}),
                }
            ),
            # What docs/airflow.md recommends.
            AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME="3600",
            AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT="900",
            AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT="3600",
            AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC="2",
            AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL="5",
            AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD="8",
            AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC="1",
            AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL="300",
            AIRFLOW_TESTS_PROXIES=",".join(map(str, self.proxy_ports)),
            PYTHONPATH=str(HERE / "modules"),
        )
        if teams is not None:
            self.env |= teams.env(self.said_folder)
        self.env |= env
        self.parts = {name: self._part(name) for name in PARTS}
        self._placed = False
        self._http = httpx.Client(base_url=f"{self.url}/api/v2", timeout=30)

    def _part(self, name: str, log: str | None = None) -> Program:
        words: dict[str, Sequence[str]] = {
            "api-server": ("--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"),
            "scheduler": ("--skip-serve-logs",),
            "triggerer": ("--skip-serve-logs",),
        }
        command = [self.venv / "bin" / "airflow", name, *words.get(name, ())]
        return Program(f"airflow {name}", command, self.env, self.root / f"{log or name}.out")

    def another_scheduler(self) -> Program:
        """A second one, which ends with the deployment."""
        name = f"scheduler-{len(self.parts)}"
        self.parts[name] = self._part("scheduler", name).start()
        return self.parts[name]

    @contextmanager
    def scheduler_with(self, **env: str) -> Iterator[None]:
        """Have a scheduler with these variables instead of the usual one."""
        scheduler = self.parts["scheduler"]
        usual = scheduler.env
        try:
            assert scheduler.stop() is not None
            scheduler.env = {**usual, **env}
            scheduler.start()
            yield
        finally:
            scheduler.stop()
            scheduler.env = usual
            scheduler.start()

    def release(self, version: str) -> None:
        """Make another version of the bundles that have versions the newest one."""
        text = (HERE / "versioned" / "versioned.py").read_text().replace("VERSION", version)
        folder = self.versioned / version
        folder.mkdir(parents=True)
        (folder / "versioned.py").write_text(text.replace("BUNDLE", "versioned"))
        (self.versioned / "newest").write_text(version)
        names = ("git_fetched", "git_pushed")
        files = {f"{name}/{name}.py": text.replace("BUNDLE", name) for name in names}
        self.commits[version] = self.repository.commit(files)

    def read_again(self, dag: str) -> None:
        """Have the dag-processor look for another version of a DAG's bundle."""
        token = self.get(f"/dags/{dag}")["file_token"]
        self._http.put(f"/parseDagFile/{token}").raise_for_status()

    def start(self) -> None:
        """Make the database, start everything, and wait until the DAGs are known."""
        self.command("db", "migrate")
        if self._teams is not None:
            self.command("teams", "sync")
        for part in self.parts.values():
            part.start()
        self.answers()
        token = httpx.get(f"{self.url}/auth/token").json()["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"
        names = {
            name
            for file in self._dags.glob("*.py")
            for name in re.findall(r'with DAG\(\s*"(\w+)"', file.read_text())
        }
        if self._teams is not None:
            names |= {f"of_{team}" for team in self._teams.stacks}
        until(lambda: names <= self.dags(), f"the DAGs are known: {names}", 60)

    def has_a_place(self) -> None:
        """Have a variable and a connection for the DAG `python`; asked for again, nothing."""
        if not self._placed:
            self.post("/variables", {"key": "place", "value": "Berlin"})
            site = {"connection_id": "site", "conn_type": "http", "host": "example.com"}
            self.post("/connections", {**site, "port": 8443})
        self._placed = True

    def dags(self) -> set[str]:
        """Their names."""
        return {dag["dag_id"] for dag in self.get("/dags")["dags"]}

    def answers(self) -> None:
        """Wait until the api-server answers."""
        until(self._answers, "the api-server answers", 90)

    def _answers(self) -> bool:
        part = self.parts["api-server"]
        assert part.running, f"{part.name} ended:\n{part.words()[-4000:]}"
        try:
            return httpx.get(f"{self.url}/api/v2/version", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def authorization(self) -> dict[str, str]:
        """The header of its API that says who asks."""
        return {"Authorization": self._http.headers["Authorization"]}

    def get(self, path: str, headers: dict[str, str] | None = None, **params: str) -> Any:
        """An answer of Airflow's API."""
        return self._http.get(path, params=params, headers=headers).raise_for_status().json()

    def trigger(self, dag: str, **conf: object) -> str:
        """Start a run with these parameters; its path in the API."""
        made = self.post(f"/dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})
        return f"/dags/{dag}/dagRuns/{made['dag_run_id']}"

    def trigger_by_command(self, dag: str) -> str:
        """The same without the api-server."""
        run_id = f"by-command-{uuid.uuid4()}"
        self.command("dags", "trigger", dag, "--run-id", run_id)
        return f"/dags/{dag}/dagRuns/{run_id}"

    def command(self, *words: str) -> str:
        """What `airflow …` prints."""
        done = subprocess.run(
            [self.venv / "bin" / "airflow", *words],
            env=self.env, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Tell Airflow's API something."""
        return self._http.post(path, json=body).raise_for_status().json()

    def mark(self, run: str, task: str, state: str) -> None:
        """As the button of the page does it."""
        path = f"{run}/taskInstances/{task}"
        self._http.patch(path, json={"new_state": state}).raise_for_status()

    def clear(self, run: str, task: str) -> None:
        """As the button of the page does it: the task is run again."""
        dag, run_id = run.split("/")[2::2]
        wanted = {"dag_run_id": run_id, "task_ids": [task], "dry_run": False, "only_failed": False}
        self.post(f"/dags/{dag}/clearTaskInstances", wanted)

    def tasks(self, run: str) -> dict[str, dict[str, Any]]:
        """Its task instances by name and place."""
        path = f"{run}/taskInstances"
        first = self.get(path, limit="100")
        found = [*first["task_instances"]]
        while len(found) < first["total_entries"]:
            more = self.get(path, limit="100", offset=str(len(found)))["task_instances"]
            found += more
        return {
            ti["task_id"] + (f"[{ti['map_index']}]" if ti["map_index"] >= 0 else ""): ti
            for ti in found
        }

    def ends(self, run: str, state: str = "success", deadline: float = 150) -> None:
        """Wait until a run has ended in this state."""

        def ended() -> bool:
            found = self.get(run)["state"]
            if found in ("success", "failed") and found != state:
                raise AssertionError(f"{run} is {found}: {self.explain(run)}")
            return bool(found == state)

        until(ended, f"{run} is {state}", deadline)

    def explain(self, run: str) -> str:
        """What is known of a run that is not as it should be."""
        said = [f"{name}: {ti['state']} {ti['try_number']}" for name, ti in self.tasks(run).items()]
        return "\n".join((*said, self.parts["scheduler"].words()[-6000:]))

    def log(self, run: str, task: str, number: int = 1) -> str:
        """A log as the page gets it, a line of JSON for each, with where it comes from."""
        found = self.get(f"{run}/taskInstances/{task}/logs/{number}", full_content="true")
        return "\n".join(json.dumps(line) for line in found["content"])

    def containers(self) -> list[str]:
        """The ids of those that the engine of the agent's host has."""
        return engine.containers(self._docker)

    def said(self) -> list[str]:
        """What tasks have noted of themselves."""
        file = self.said_folder / "said"
        return file.read_text().splitlines() if file.exists() else []

    def waits(self, condition: Callable[[], Any], what: str, deadline: float = 60) -> Any:
        """`until`, with the scheduler's words when it fails."""
        try:
            return until(condition, what, deadline)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.parts['scheduler'].words()[-6000:]}") from None

    def close(self) -> None:
        """End its processes."""
        self._http.close()
        for part in self.parts.values():
            if part.running:
                part.send(signal.SIGTERM)
        for part in self.parts.values():
            try:
                part.wait(10)
            except AssertionError:
                part.kill()
