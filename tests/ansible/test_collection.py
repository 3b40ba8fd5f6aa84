"""The collection by itself: ansible-lint's strictest profile, and its documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests.ansible.control import COLLECTION, Control


def test_lint_finds_nothing(control: Control) -> None:
    said = control.call(
        *("ansible-lint", "--offline", "--nocolor", "--profile", "production"), cwd=COLLECTION
    )
    assert "Passed: 0 failure(s), 0 warning(s)" in said, said


@pytest.mark.parametrize(
    ("kind", "names"), [("lookup", ["registration_token"]), ("module", ["service", "settings"])]
)
def test_what_it_says_of_its_plugins_can_be_read(
    control: Control, kind: str, names: list[str]
) -> None:
    full = [f"remote.agent.{name}" for name in names]
    found = json.loads(control.call("ansible-doc", "--json", "-t", kind, *full))
    assert sorted(found) == full
    assert all(of["doc"]["short_description"] and of["examples"] for of in found.values())


@contextmanager
def web_server(status: int, body: bytes = b"", **headers: str) -> Iterator[tuple[str, list[str]]]:
    """Answers everything alike; its address, and the paths that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *words: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


SECRET = "rpt_" + "c" * 43


def refusals(control: Control, *urls: str) -> list[str]:
    """What the lookup says of each of these servers when it makes no token."""
    lookup = f"lookup('remote.agent.registration_token', '{{}}', api_token='{SECRET}')"
    tasks = "".join(
        f'    - ansible.builtin.set_fact:\n        made: "{{{{ {lookup.format(url)} }}}}"\n'
        f"      name: case {number}.\n      ignore_errors: true\n"
        for number, url in enumerate(urls)
    )
    (control.folder / "lookup.yml").write_text(
        f"- hosts: localhost\n  gather_facts: false\n  tasks:\n{tasks}"
    )
    said = control.call("ansible-playbook", "lookup.yml")
    assert f"ignored={len(urls)} " in said, said
    _, *parts = re.split(r"^TASK \[case \d+\.\].*$", said, flags=re.MULTILINE)
    return parts


def test_a_token_goes_to_the_named_server_only(control: Control) -> None:
    """Neither to where that one leads to, nor to what cannot be one."""
    with (
        web_server(200, b"{}") as (other, reached),
        web_server(307, Location=f"{other}/api/v1/registration-tokens") as (leads, asked),
        web_server(200, b"<html>") as (html, _),
        web_server(403, json.dumps({"detail": "admin is needed"}).encode()) as (refusing, _),
        web_server(200, b" " * (1024 * 1024 + 1)) as (long, _),
    ):
        expected = {
            leads: "status 307",
            "http://jobs.example.com": "is not encrypted",
            "https://user:word@jobs.example.com": "has a password in it",
            "jobs.example.com": "is no address of a server",
            "http://127.0.0.1:9": "cannot be called",
            html: "does not answer JSON",
            refusing: "admin is needed (status 403)",
            long: "answers too much",
        }
        said = refusals(control, *expected)
    assert asked == ["/api/v1/registration-tokens"] and not reached
    for (url, words), text in zip(expected.items(), said, strict=True):
        assert words in " ".join(text.split()), (url, text)
