"""Tasks of a real Airflow whose host reaches nothing but by an HTTP proxy: neither the Execution
API nor, with its agent, the server. Both have names that nobody else knows, and TLS."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from remote_protocol.api.queues import QueueCreate
from tests.airflow.deployment import VENV, Airflow
from tests.support.authority import Authority
from tests.support.connect_proxy import ConnectProxy
from tests.support.searched import content_of, files_below
from tests.support.tls_front import TlsFront

PASSWORD = "hunter2-of-the-proxy"
API = "CONNECT airflow.invalid:443"
LINK = "CONNECT jobs.invalid:443"


class Proxied:
    """The deployment, with a proxy that wants a password and one that wants none."""

    def __init__(self, airflow: Airflow, named: ConnectProxy, plain: ConnectProxy) -> None:
        self.airflow = airflow
        self.named = named
        self.plain = plain


@pytest.fixture(scope="module")
def proxied(airflow: Airflow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    root: Path = tmp_path_factory.mktemp("proxied")
    authority = Authority(root)
    authority.certify("airflow.invalid", "jobs.invalid")
    stack, files = airflow.stack, (root / "cert.pem", root / "key.pem")
    with ExitStack() as opened:
        api = opened.enter_context(TlsFront(("127.0.0.1", airflow.port), *files))
        server = opened.enter_context(TlsFront(("127.0.0.1", stack.port), *files))
        with_password, without = airflow.proxy_ports
        others = {"airflow.invalid": api.place, "jobs.invalid": server.place}
        nowhere = ("127.0.0.1", 1)
        named = opened.enter_context(
            ConnectProxy(nowhere, f"me:{PASSWORD}", others=others, port=with_password)
        )
        plain = opened.enter_context(ConnectProxy(nowhere, others=others, port=without))
        stack.client.create_queue(QueueCreate(name="far"))
        agent = stack.agent(
            "far",
            *("--queue", "far", "--ca-file", authority.file),
            url="https://jobs.invalid",
            config='[secrets]\nenv_allow = ["HTTPS_PROXY", "PROXY_PASSWORD"]\n'
            f'[python]\nenvironments = {{airflow = "{VENV}"}}\n',
            HTTPS_PROXY=f"http://me:{PASSWORD}@{named.place}",
            PROXY_PASSWORD=PASSWORD,
        )
        env = json.loads(airflow.env["AIRFLOW__REMOTE__ENV"])
        env["AIRFLOW__API__SSL_CA_FILE"] = str(authority.file)
        airflow.has_a_place()
        with airflow.scheduler_with(
            AIRFLOW__REMOTE__EXECUTION_API_URL="https://airflow.invalid/execution/",
            AIRFLOW__REMOTE__ENV=json.dumps(
                env | {"AIRFLOW__API__SSL_CA_FILE": str(authority.file)}
            ),
            AIRFLOW__REMOTE__SECRETS="HTTPS_PROXY",
        ):
            yield Proxied(airflow, named, plain)
        agent.stop()


def tunnels(proxy: ConnectProxy) -> set[str]:
    """What it was asked for."""
    return {line.rpartition(" ")[0] for line in proxy.asked}


def test_requests_of_tasks_and_agent_go_through_proxies(proxied: Proxied) -> None:
    airflow = proxied.airflow
    assert tunnels(proxied.named) == {LINK}
    run = airflow.trigger("proxies")
    airflow.ends(run)
    for task in ("own", "composed", "without_password", "excepted"):
        assert '"Berlin"' in airflow.log(run, task), "each has its variable from the Execution API"
    # A connection for each task, and others where one was idle for a while.
    assert tunnels(proxied.named) == {LINK, API}
    assert sum(line.startswith(API) for line in proxied.named.asked) >= 2
    assert tunnels(proxied.plain) == {API}
    jobs = airflow.stack.client.jobs(limit=10, annotation="airflow.dag=proxies").items
    told = [entry.detail for job in jobs for entry in airflow.stack.client.timeline(job.id)]
    assert sum("forked from a warm interpreter" in detail for detail in told) >= 3, told


def test_the_password_is_in_no_argument_file_or_answer(proxied: Proxied) -> None:
    stack = proxied.airflow.stack
    for secret in (PASSWORD, base64.b64encode(f"me:{PASSWORD}".encode()).decode()):
        for process in psutil.process_iter(["cmdline"]):
            assert secret not in str(process.info["cmdline"])
        places = (stack.data_dir, stack.root / "agent-far", proxied.airflow.root)
        found = [path for path in files_below(*places) if secret.encode() in content_of(path)]
        assert not found
        assert secret not in stack.agents["far"].words()
        jobs = stack.client.jobs(limit=20, annotation="airflow.dag=proxies").items
        assert jobs and secret not in str([stack.client.job(job.id) for job in jobs])


def test_a_proxy_that_refuses_is_named_in_the_log_with_the_cure(proxied: Proxied) -> None:
    airflow = proxied.airflow
    wanted, proxied.named.wanted = proxied.named.wanted, "Basic another"
    try:
        run = airflow.trigger("proxies")
        airflow.ends(run, "failed")
    finally:
        proxied.named.wanted = wanted
    states = {name: ti["state"] for name, ti in airflow.tasks(run).items()}
    refused = {"own": "failed", "composed": "failed"}
    assert states == {**refused, "without_password": "success", "excepted": "success"}
    for task in refused:
        said = airflow.log(run, task)
        assert "The Execution API cannot be reached: the proxy 127.0.0.1:" in said, said
        assert "says 407 Proxy Authentication Required" in said
        assert "does not take this user and password; correct them" in said
        assert PASSWORD not in said
