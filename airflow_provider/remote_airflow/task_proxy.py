"""The part of a task's program that is for proxies: it stands before `run_task.py` where a task has
one, and says in the task's log what is wrong with it, which Airflow shows nowhere.

Like that program it is sent as text, and uses nothing of this package.
"""

import json
import os
import re
import sys
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies


class ProxyRefuses(Exception):
    """The proxy refuses the first request of a task: nothing was begun, and it does not help to ask
    again."""


def asks_its_own_host_directly() -> None:
    """Have what is on this host's loopback, as the address of a relay is, asked without a proxy:
    it could not reach it, and would see the secret in the address."""
    if "REMOTE_RELAY_URL" in os.environ:
        known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        excepted = ",".join(filter(None, (known, "127.0.0.1")))
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = excepted


def explains_proxies(log_path: str | None, in_place: bool) -> None:
    """Have what goes wrong at the proxy said in the task's log, once until a request passes again.
    Nothing changes where Airflow works in another way."""
    try:
        import httpx
        from airflow.sdk.api.client import Client
    except ImportError:
        return
    said: set[str] = set()
    begun: list[bool] = []

    def send(client: Any, request: Any, **named: Any) -> Any:
        try:
            answer = httpx.Client.send(client, request, **named)
        except (httpx.RequestError, httpx.HTTPStatusError) as error:
            words, refused = explain_fault(client, request, error)
            if not words:
                raise
            if words not in said:
                said.add(words)
                say(words, log_path, in_place)
            if refused and not begun:
                raise ProxyRefuses(words) from None
            if isinstance(error, httpx.HTTPStatusError):
                # What has begun is not given up: asked again, as in an outage.
                raise httpx.ProxyError(words) from None
            raise
        if not begun:
            begun.append(True)
        said.clear()
        return answer

    Client.send = send


def explain_fault(client: Any, request: Any, error: Exception) -> tuple[str, bool]:
    """A sentence, empty when it is nothing of a proxy; and whether it will be the same again."""
    import httpx

    try:
        if client._transport_for_url(request.url) is client._transport:
            return "", False
    except AttributeError:
        if not isinstance(error, httpx.ProxyError):
            return "", False
    scheme, target = request.url.scheme, request.url.host
    known = getproxies()
    name = scheme if known.get(scheme) else "all"
    parts = urlsplit(known.get(name, ""))
    variable = f"{name.upper()}_PROXY"
    proxy = f"the proxy {parts.hostname}:{parts.port or 80} ({variable})"
    where = "in [remote] env or secrets of Airflow's settings, or in the environment of the agent"
    begin = "The Execution API cannot be reached: "
    if isinstance(error, httpx.HTTPStatusError):
        if error.response.status_code != 407:
            return "", False  # the Execution API's own answer
        status, reason = 407, "Proxy Authentication Required"
    elif isinstance(error, httpx.ProxyError):
        found = re.match(r"(\d{3})\s*(.*)", str(error))
        if found is None:
            return f"{begin}{proxy} is none that can be used ({error}); correct it {where}", False
        status, reason = int(found[1]), found[2][:100]
    elif "CERTIFICATE" in str(error):
        return (
            f"{begin}through {proxy} comes a certificate that is not trusted ({error}); where the "
            "proxy opens TLS, name its CA in [api] ssl_ca_file of the tasks ([remote] env)",
            False,
        )
    elif isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return (
            f"{begin}{proxy} does not answer ({str(error) or 'in time'}); start it, correct it "
            f"{where}, or except {target} by NO_PROXY. It is asked again",
            False,
        )
    else:
        return "", False
    if status == 407 and parts.username is None:
        why = f"wants a user and a password; write http://USER:PASSWORD@HOST:PORT {where}"
    elif status == 407:
        why = (
            f"does not take this user and password; correct them {where}, with special characters "
            "percent-encoded"
        )
    elif status < 500:
        why = f"makes no connection to {target}; have it allowed there, or except it by NO_PROXY"
    else:
        why = f"cannot reach {target}; see to the way from there. It is asked again"
    return f"{begin}{proxy} says {status} {reason} and {why}", status < 500


def say(words: str, log_path: str | None, in_place: bool) -> None:
    """One line of the task's log."""
    now = datetime.now().astimezone().isoformat()
    line = json.dumps({"timestamp": now, "level": "error", "event": words, "logger": "remote"})
    if not (in_place and log_path):
        print(line, flush=True)
        return
    place = os.path.join(os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"], log_path)
    with suppress(OSError), open(place, "a", encoding="utf-8") as log:
        log.write(line + "\n")
    print(words, file=sys.stderr, flush=True)
