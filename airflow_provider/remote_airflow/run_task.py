"""The program of a job that runs one task of Airflow.

It is sent as text, runs in an environment that has Airflow and need not have this package, and
finds the workload on its standard input: a token stands in it.
"""

import json
import os
import sys


def logs_to_stdout(log_path: str | None) -> bool:
    """Have the supervisor write its log, lines of JSON, to what was standard output; all else goes
    to standard error. Without /proc the log goes to a file, and the task's lines are copied."""
    if log_path is None or not os.path.isdir("/proc/self/fd"):
        return False
    kept = os.dup(1)
    os.dup2(2, 1)
    folder = os.path.join(os.environ.get("REMOTE_WORK_DIR") or os.getcwd(), ".airflow-log")
    place = os.path.join(folder, log_path)
    os.makedirs(os.path.dirname(place), exist_ok=True)
    os.symlink(f"/proc/self/fd/{kept}", place)
    os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] = folder
    return True


def unpack_bundle(name: str) -> None:
    """Have the task's DAG bundle be the one that came with the job, if one came."""
    folder = os.environ.get("REMOTE_WORK_DIR") or os.getcwd()
    archive = os.path.join(folder, ".airflow-bundle.zip")
    if not os.path.exists(archive):
        return
    from zipfile import ZipFile

    target = os.path.join(folder, ".airflow-bundle")
    with ZipFile(archive) as packed:
        packed.extractall(target)
        for entry in packed.infolist():
            if entry.external_attr >> 16 & 0o100:
                os.chmod(os.path.join(target, entry.filename), 0o755)
    os.remove(archive)
    bundle = {
        "name": name,
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": target},
    }
    os.environ["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"] = json.dumps([bundle])


def main() -> None:
    with open(0, "rb", closefd=False) as given:
        text = given.read()
    if not text:
        sys.exit("this program runs a task of Airflow, and found no workload on its standard input")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)

    document = json.loads(text)
    in_place = logs_to_stdout(document.get("log_path"))
    unpack_bundle(str((document.get("bundle_info") or {}).get("name")))
    del document
    try:
        from airflow.executors import workloads
    except ImportError:
        sys.exit(
            f"{sys.executable} has no Airflow; prepare that environment, or name another one: "
            "executor_config={'remote': {'venv': …}}"
        )
    from pydantic import TypeAdapter

    # Later versions call it ExecutorWorkload, and keep All.
    kinds = getattr(workloads, "All", None) or workloads.ExecutorWorkload
    workload = TypeAdapter(kinds).validate_json(text)
    del text
    from airflow.executors.base_executor import BaseExecutor

    run = getattr(BaseExecutor, "run_workload", None)
    if run is not None:
        sys.exit(run(workload, subprocess_logs_to_stdout=not in_place))
    # Airflow 3.1 and 3.2, whose executor gives tasks only
    from airflow.configuration import conf
    from airflow.sdk.execution_time.supervisor import supervise

    code = supervise(
        ti=workload.ti,
        dag_rel_path=workload.dag_rel_path,
        bundle_info=workload.bundle_info,
        token=workload.token,
        server=conf.get("core", "execution_api_server_url"),
        log_path=workload.log_path,
        subprocess_logs_to_stdout=not in_place,
    )
    sys.exit(code)


main()
