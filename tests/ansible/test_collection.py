"""The collection by itself: ansible-lint's strictest profile, and its documentation."""

from __future__ import annotations

import json
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
    ("kind", "name"),
    [("lookup", "registration_token"), ("module", "service"), ("module", "settings")],
)
def test_what_it_says_of_its_plugins_can_be_read(control: Control, kind: str, name: str) -> None:
    full = f"remote.agent.{name}"
    found = json.loads(control.call("ansible-doc", "--json", "-t", kind, full))
    assert found[full]["doc"]["short_description"] and found[full]["examples"]


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


def refused(control: Control, url: str) -> str:
    """What the lookup says when it makes no token."""
    lookup = f"lookup('remote.agent.registration_token', '{url}', api_token='{SECRET}')"
    (control.folder / "lookup.yml").write_text(
        "- hosts: localhost\n  gather_facts: false\n  tasks:\n"
        f'    - ansible.builtin.set_fact:\n        made: "{{{{ {lookup} }}}}"\n'
        "      ignore_errors: true\n"
    )
    said = control.call("ansible-playbook", "lookup.yml")
    assert "ignored=1" in said, said
    return said


def test_a_token_goes_to_the_named_server_only(control: Control) -> None:
    with web_server(200, b"{}") as (other, reached):
        there = f"{other}/api/v1/registration-tokens"
        with web_server(307, Location=there) as (url, asked):
            assert "status 307" in refused(control, url)
        assert asked == ["/api/v1/registration-tokens"] and not reached


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://jobs.example.com", "is not encrypted"),
        ("https://user:word@jobs.example.com", "has a password in it"),
        ("jobs.example.com", "is no address of a server"),
        ("http://127.0.0.1:9", "cannot be called"),
    ],
)
def test_an_address_that_cannot_serve_is_named(control: Control, url: str, words: str) -> None:
    assert words in refused(control, url)


def test_what_is_no_server_of_ours_is_named(control: Control) -> None:
    with web_server(200, b"<html>") as (url, _):
        assert "does not answer JSON" in refused(control, url)
    with web_server(403, json.dumps({"detail": "admin is needed"}).encode()) as (url, _):
        assert "admin is needed (status 403)" in refused(control, url)
    with web_server(200, b" " * (1024 * 1024 + 1)) as (url, _):
        assert "answers too much" in refused(control, url)
