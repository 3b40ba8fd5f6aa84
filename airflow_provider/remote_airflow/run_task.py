"""The program of a job that runs one task of Airflow.

It is sent as text, runs in an environment that has Airflow and need not have this package, and
finds the workload on its standard input: a token stands in it.
"""

import atexit
import json
import os
import sys
import threading
from contextlib import suppress
from typing import Any, NoReturn


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


def wakes_at_the_end() -> None:
    """Have the supervisor wake when its task's process ends. It waits for what that writes, closes
    its files, and would look for its end with the next heartbeat only: the slot is lost for so
    long. Nothing changes where processes have no descriptors, or Airflow works in another way."""
    try:
        import selectors
        from io import FileIO

        from airflow.sdk.execution_time.supervisor import ActivitySubprocess

        opens = os.pidfd_open
        monitor = ActivitySubprocess._monitor_subprocess
    except (ImportError, AttributeError):
        return

    def watching(supervised: Any) -> None:
        with suppress(OSError, AttributeError):
            selector = supervised.selector
            ended = FileIO(opens(supervised.pid))
            # As its own files: who reads them (nobody, no more is needed), who takes them out.
            handlers = (lambda _: False, selector.unregister)
            selector.register(ended, selectors.EVENT_READ, handlers)
        monitor(supervised)

    ActivitySubprocess._monitor_subprocess = watching


def writes_together() -> None:
    """Have the supervisor write the lines of its task that it has read together at once, and not
    each by itself: whoever reads them would be woken for each. Nothing changes where Airflow works
    in another way."""
    try:
        from airflow.sdk.execution_time import supervisor

        configure = supervisor._configure_logging
        serve = supervisor.WatchedSubprocess._service_subprocess
    except (ImportError, AttributeError):
        return
    flushes: list[Any] = []

    def configured(*given: Any, **named: Any) -> Any:
        logger, file = configure(*given, **named)
        with suppress(AttributeError):
            flushes.append(logger._logger._flush)
            logger._logger._flush = lambda: None
        return logger, file

    def served(supervised: Any, *given: Any, **named: Any) -> Any:
        try:
            return serve(supervised, *given, **named)
        finally:
            for flush in flushes:
                flush()

    supervisor._configure_logging = configured
    supervisor.WatchedSubprocess._service_subprocess = served


def reads_no_certificates() -> None:
    """Have the supervisor's client trust nobody where it asks by plain HTTP: to read the
    certificates of all authorities for nothing is a fifth of a short task's CPU time."""
    proxies = [value for name, value in os.environ.items() if name.lower().endswith("_proxy")]
    if any(value.lower().startswith("https:") for value in proxies):
        return
    if not os.environ.get("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "").startswith("http://"):
        return
    try:
        import ssl

        from airflow.sdk.api.client import Client

        Client._get_ssl_context_cached  # noqa: B018
    except (ImportError, AttributeError):
        return
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    Client._get_ssl_context_cached = staticmethod(lambda *_, **__: nobody)


def says_why_it_waits() -> None:
    """Have it said, now and then, why the Execution API is asked again: Airflow only counts."""
    try:
        from airflow.sdk.api.client import Client

        retrying = Client.request.retry
        before = retrying.before_sleep
    except (ImportError, AttributeError):
        return

    def sleeps(state: Any) -> None:
        if before is not None:
            before(state)
        if state.attempt_number % 8 == 1:
            print(
                f"Airflow's Execution API at {execution_api()} does not answer this host "
                f"({state.outcome.exception()}); it is asked again. Check that the api-server "
                "runs, and that this host reaches it: else set [remote] execution_api_url, or "
                "relay, for Airflow",
                file=sys.stderr,
                flush=True,
            )

    retrying.before_sleep = sleeps


def execution_api() -> str:
    """Its address, without what a relay's has secret."""
    if "REMOTE_RELAY_URL" in os.environ:
        return "the relay"
    return os.environ.get("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", "its address")


def refusal(error: Exception) -> str | None:
    """What the Execution API has against a task, with the cure; None: it is something else."""
    status = getattr(getattr(error, "response", None), "status_code", 0)
    said = f"{status}: {getattr(error, 'detail', None) or error}"[:300]
    if status in (401, 403):
        return (
            f"Airflow's Execution API at {execution_api()} refuses this task's token ({said}). "
            "Scheduler and api-server need the same [api_auth] jwt_secret, and clocks that agree; "
            "or the task has waited longer than [scheduler] task_queued_timeout"
        )
    if status in (404, 405, 421):
        return (
            f"what answers at {execution_api()} does not know this task, or is not Airflow's "
            f"Execution API ({said}). Its address ends with /execution/: see [remote] "
            "execution_api_url, or prefix of the relay"
        )
    if status in (400, 422):
        asked = f"Airflow's Execution API at {execution_api()}"
        return f"{asked} does not understand this task ({said}). {another_version()}"
    return None


def another_version() -> str:
    """What to do where versions differ."""
    try:
        from airflow import __version__ as version
    except ImportError:
        version = "of an unknown version"
    return (
        f"{sys.executable} has Airflow {version}: have the minor version of the scheduler in the "
        "environment of tasks"
    )


def leave(code: int | None) -> NoReturn:
    """Exit with all that Python does then but one thing: taking apart what was imported. In a fork
    each object of Airflow would be copied for that, a third of a short task's CPU time."""
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit((code or 0) & 0xFF)


def main() -> None:
    with open(0, "rb", closefd=False) as given:
        text = given.read()
    if not text:
        sys.exit("this program runs a task of Airflow, and found no workload on its standard input")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)

    document = json.loads(text)
    log_path = document.get("log_path")
    in_place = logs_to_stdout(log_path)
    # `task_bundle.py` and `task_proxy.py` stand before this where they are of use.
    parts = globals()
    if "unpack_bundle" in parts:
        parts["unpack_bundle"](str((document.get("bundle_info") or {}).get("name")))
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
    try:
        workload = TypeAdapter(kinds).validate_json(text)
    except ValueError as error:
        # Its own text shows what was given, and a token stands in that.
        found = [".".join(map(str, one["loc"])) for one in getattr(error, "errors", list)()][:5]
        sys.exit(f"the task cannot be read ({', '.join(found)}). {another_version()}")
    del text
    wakes_at_the_end()
    reads_no_certificates()
    says_why_it_waits()
    if in_place:
        writes_together()
        # Of `task_log.py`, which stands before this.
        cheap_lines()  # type: ignore[name-defined]  # noqa: F821
    if "explains_proxies" in parts:
        parts["asks_its_own_host_directly"]()
        parts["explains_proxies"](log_path, in_place)
    try:
        code = run(workload, in_place)
    except parts.get("ProxyRefuses", ()) as refused:
        sys.exit(str(refused))
    except Exception as error:
        if (words := refusal(error)) is None:
            raise
        sys.exit(words)
    leave(code)


def run(workload: Any, in_place: bool) -> Any:
    """Have Airflow run it; the exit code."""
    from airflow.executors.base_executor import BaseExecutor

    runs = getattr(BaseExecutor, "run_workload", None)
    if runs is not None:
        return runs(workload, subprocess_logs_to_stdout=not in_place)
    # Airflow 3.1 and 3.2, whose executor gives tasks only
    from airflow.configuration import conf
    from airflow.sdk.execution_time.supervisor import supervise

    return supervise(
        ti=workload.ti,
        dag_rel_path=workload.dag_rel_path,
        bundle_info=workload.bundle_info,
        token=workload.token,
        server=conf.get("core", "execution_api_server_url"),
        log_path=workload.log_path,
        subprocess_logs_to_stdout=not in_place,
    )


main()
