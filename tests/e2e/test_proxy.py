"""Through an HTTP proxy with a password, before http and https, and round it.

The server's name leads nowhere but through the proxy: nobody can come by a direct route.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.authority import Authority
from tests.support.connect_proxy import ConnectProxy
from tests.support.ports import free_port
from tests.support.stack import Stack, says, until

NAME = "jobs.invalid"
ME = "me:p%40ss"


@pytest.fixture(scope="module", params=["http", "https"])
def far(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """A server behind the proxy, by http and by https."""
    root = tmp_path_factory.mktemp(request.param)
    authority = Authority(root)
    authority.certify(NAME, "127.0.0.1")
    with authority.stack() if request.param == "https" else Stack(root) as stack:
        if request.param == "http":
            stack.everywhere["REMOTE_INSECURE"] = "1"
        stack.start_server()
        yield stack


@pytest.fixture
def proxy(far: Stack) -> Iterator[ConnectProxy]:
    """The only way to NAME."""
    with ConnectProxy(("127.0.0.1", far.port), "me:p@ss") as proxy:
        yield proxy


def said(proxy: ConnectProxy, user: str = f"{ME}@") -> str:
    """Its URL, as people write it down."""
    return f"http://{user}{proxy.place}"


def url_of(far: Stack) -> str:
    return f"{far.url.partition(':')[0]}://{NAME}:8750"


def trusted(far: Stack) -> list[object]:
    return ["--ca-file", far.ca_file] if far.ca_file else []


def runs_a_job(far: Stack, name: str) -> None:
    """The agent of this name runs a job whose output comes."""
    job = far.run("echo $REMOTE_AGENT")
    assert far.client.log(job.id) == f"{name}\n".encode()
    assert far.agents[name].stop() == 0


def way(stack: Stack, proxy: str) -> dict[str, Any]:
    """Variables that lead `remotectl` to the server through a proxy, by plain HTTP, too."""
    url = {"REMOTE_URL": url_of(stack), "REMOTE_INSECURE": "1"}
    return {**url, "HTTPS_PROXY": proxy, "HTTP_PROXY": proxy}


def test_a_named_proxy_is_kept_with_the_identity(far: Stack, proxy: ConnectProxy) -> None:
    far.agent("named", *trusted(far), "--proxy", said(proxy), url=url_of(far))
    runs_a_job(far, "named")
    assert proxy.asked[-1] == f"CONNECT {NAME}:8750 HTTP/1.1"
    shown = far.agents["named"].cli("config").stdout
    assert "p%40ss" not in shown and "p@ss" not in shown


def test_the_environments_proxy_carries_agent_and_remotectl(
    far: Stack, proxy: ConnectProxy
) -> None:
    env: dict[str, Any] = {"HTTPS_PROXY": said(proxy), "HTTP_PROXY": said(proxy)}
    far.agent("told", *trusted(far), url=url_of(far), **env)
    env |= {"REMOTE_URL": url_of(far), "REMOTE_INSECURE": "1"}
    done = far.ctl("run", "--shell", "sh", "--", "echo there; echo and back >&2", **env)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"there\n", b"and back\n")
    runs_a_job(far, "told")
    assert len(proxy.asked) > 3


def test_no_proxy_is_respected(far: Stack, proxy: ConnectProxy) -> None:
    env: dict[str, Any] = {
        "HTTPS_PROXY": proxy.url,
        "HTTP_PROXY": proxy.url,
        "NO_PROXY": "other,127.0.0.1",
    }
    far.agent("direct", *trusted(far), **env)
    assert far.ctl("job", "list", **env).returncode == 0
    runs_a_job(far, "direct")
    assert proxy.asked == []


@pytest.mark.parametrize("password", ["", "me:wrong-one@"])
def test_a_wrong_password_is_named_and_not_shown(
    far: Stack, proxy: ConnectProxy, password: str
) -> None:
    given = said(proxy, password)
    done = far.register("locked", *trusted(far), "--proxy", given, url=url_of(far), check=False)
    assert done.returncode == 1
    fault = "refuses the user name or the password" if password else "wants a user name and a"
    says(done.stderr, url_of(far), fault, "_PROXY")
    ctl = far.ctl("job", "list", **way(far, given))
    assert ctl.returncode == 1
    says(ctl.stderr.decode(), proxy.place, fault, "407", "_PROXY")
    assert "wrong-one" not in done.stderr + ctl.stderr.decode()


def test_a_proxy_that_is_not_there_is_named(far: Stack) -> None:
    dead = f"http://{ME}@127.0.0.1:{free_port()}"
    done = far.register("dead", "--proxy", dead, url=url_of(far), check=False)
    assert done.returncode == 1
    says(done.stderr, url_of(far), "the proxy http://127.0.0.1:", "refuses connections")
    ctl = far.ctl("job", "list", **way(far, dead))
    assert ctl.returncode == 1
    says(ctl.stderr.decode(), url_of(far), "through the proxy", "NO_PROXY")
    assert "p%40ss" not in done.stderr + ctl.stderr.decode()


def test_a_running_agent_tells_of_a_changed_password_and_comes_back(
    far: Stack, proxy: ConnectProxy
) -> None:
    agent = far.agent("steady", *trusted(far), "--proxy", said(proxy), url=url_of(far))
    right, proxy.wanted = proxy.wanted, "Basic another"
    agent.kill()
    agent.start()
    until(lambda: "HTTP 407" in agent.words(), "the agent says what is wrong")
    says(agent.words(), "refuses the user name or the password", "correct them in --proxy")
    assert "p%40ss" not in agent.words() and "p@ss" not in agent.words()
    proxy.wanted = right
    far.online("steady")
    runs_a_job(far, "steady")
