"""Bodies and queries of calls."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import BaseModel, Field

from remote_server.web import agents, api
from remote_server.web.access import PUBLIC
from remote_server.web.http.bodies import BodyBudget
from remote_server.web.http.problems import ApiProblem
from remote_server.web.route import Call, PageQuery, Query, Route, answer, no_content, routes_of


class Word(BaseModel):
    word: str = "none"


class Words(Query):
    words: list[str] = Field(default_factory=list)
    count: int = 1
    follow: bool = False


def call_of(request: web.Request, **fields: object) -> Call:
    route = Route("POST", "/x", PUBLIC, **fields)  # type: ignore[arg-type]
    services = Mock(bodies=BodyBudget(1 << 20, 1 << 20))
    return Call(request, services, route)


async def served(handler: object) -> TestClient[web.Request, web.Application]:
    application = web.Application()
    application.router.add_route("*", "/x", handler)  # type: ignore[arg-type]
    client = TestClient(TestServer(application))
    await client.start_server()
    return client


async def test_bodies_are_read_up_to_the_limit() -> None:
    seen: list[object] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            seen.append(await call_of(request, body=Word, largest=100).read(Word))
        except ApiProblem as problem:
            seen.append(problem.code)
            return problem.response()
        return no_content()

    async def pieces():
        for _ in range(30):
            yield b"x" * 10

    client = await served(handler)
    async with client:
        await client.post("/x", data=b'{"word":"a"}')
        await client.post("/x", data=b"x" * 101)
        await client.post("/x", data=pieces())
        await client.post("/x", data=b"")
    assert seen == [Word(word="a"), "body_too_large", "body_too_large", "bad_request"]


async def test_an_optional_body_may_be_missing() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        call = call_of(request, body=Word, body_optional=True)
        return answer(await call.read(Word), 202, {"X-Y": "z"})

    client = await served(handler)
    async with client:
        response = await client.post("/x")
        assert response.status == 202
        assert response.headers["X-Y"] == "z"
        assert await response.json() == {"word": "none"}


async def test_queries_name_every_fault_and_split_lists() -> None:
    seen: list[object] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            seen.append(call_of(request, query=Words).query(Words))
        except ApiProblem as problem:
            seen.append(sorted(fault["field"] for fault in problem.errors))
        return no_content()

    client = await served(handler)
    async with client:
        await client.get("/x?words=a,b&words=c&count=2&follow=true")
        await client.get("/x?count=x&colour=red&follow=perhaps")
    assert seen == [
        Words(words=["a", "b", "c"], count=2, follow=True),
        ["colour", "count", "follow"],
    ]


async def test_a_handler_that_reads_what_its_route_does_not_declare_is_our_bug() -> None:
    problems: list[Exception] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        call = call_of(request, query=Words)
        for read in (lambda: call.query(PageQuery), lambda: call.token):
            with pytest.raises((TypeError, LookupError)) as caught:
                read()
            problems.append(caught.value)
        with pytest.raises(TypeError):
            await call.read(Word)
        return no_content()

    client = await served(handler)
    async with client:
        assert (await client.get("/x")).status == 204
    assert len(problems) == 2


def test_a_route_decorates_its_handler_and_takes_its_summary_from_it() -> None:
    @Route("GET", "/x", PUBLIC)
    async def shown(call: Call) -> web.StreamResponse:
        """What it does, over
        two lines.

        And why.
        """
        return no_content()

    assert shown.summary == "What it does, over two lines"


def test_every_module_of_a_package_is_asked_for_routes() -> None:
    found = {(route.method, route.path) for route in routes_of(api, agents)}
    assert {("GET", "/api/v1/jobs"), ("GET", "/api/v1/agent/session")} <= found
    assert len(found) == len(routes_of(api, agents))


def test_two_handlers_of_one_call_are_our_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "twice_routed"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("one", "two"):
        (package / f"{name}.py").write_text(
            "from remote_server.web.access import PUBLIC\n"
            "from remote_server.web.route import Route\n"
            "shown = Route('GET', '/x', PUBLIC)(print)\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="two handlers for GET /x"):
        routes_of(import_module("twice_routed"))
