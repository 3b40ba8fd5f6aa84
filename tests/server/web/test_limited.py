"""A token that is limited to queues gets nothing of others: every call of API and pages is tried.

A call that nobody has thought of refuses such tokens. One that takes them has to stand in `TAKEN`,
with what it is asked here: for the token's own things, and for those of another queue, whose every
name has the word HIDDEN in it.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientError

from remote_protocol.ids import Role, TokenKind
from remote_server.domain.model import Token
from remote_server.errors import Refused
from remote_server.queries.limited_store import LimitedStore
from remote_server.store import Store
from remote_server.web.application import ROUTES
from remote_server.web.followers import queue_topic
from remote_server.web.limited import limited
from remote_server.web.route import Route
from remote_server.web.services import Services
from tests.server.web.api.test_artifacts import give
from tests.support.grouped import grouped
from tests.support.live_server import Live
from tests.support.stored import finish, submitted
from tests.support.stored import running as run_job
from tests.support.visitor import Visitor, visitor

HIDDEN = "zanzibar"
DEADLINE = 60.0
SPEC = {"command": ["true"], "queue": "mine"}
FORM = {"run": "true", "how": "shell", "shell": "sh"}
INGEST = {
    "executor_id": "mine",
    "name": "RUN_INGEST",
    "args": {"recipe": '{"source": {"type": "file"}}'},
}
NOTHING: dict[str, Any] = {}
ANY_TOKEN = Token("01ARZ3NDEKTSV4RRFFQ69G5FAV", "api", "team", 0.0, role=Role.OPERATOR)


@dataclass(frozen=True)
class Asked:
    """What a call is asked, beside the parts of its path."""

    query: str = ""
    body: Any = None
    """JSON, or the fields of a form."""
    foreign: Any = None
    """A body about another queue, where no part of the path says which."""
    ended: bool = False
    """It is about a job that has ended."""
    headers: tuple[tuple[str, str], ...] = ()


EMPTY = hashlib.sha256().hexdigest()
"""The digest of no bytes."""
TAKEN: dict[tuple[str, str], Asked] = {
    ("POST", "/api/v1/jobs"): Asked(body=SPEC, foreign={**SPEC, "queue": HIDDEN}),
    ("POST", "/api/v1/jobs/batch"): Asked(
        body={"jobs": [SPEC]}, foreign={"jobs": [SPEC, {**SPEC, "queue": HIDDEN}]}
    ),
    ("POST", "/api/v1/jobs/explain"): Asked(body=SPEC),
    ("POST", "/api/v1/jobs/lookup"): Asked(body={"ids": ["01ARZ3NDEKTSV4RRFFQ69G5FAX"]}),
    ("GET", "/api/v1/jobs"): Asked(),
    ("GET", "/api/v1/jobs/{id}"): Asked(),
    ("POST", "/api/v1/jobs/{id}/cancel"): Asked(),
    ("POST", "/api/v1/jobs/{id}/retry"): Asked(ended=True),
    ("GET", "/api/v1/jobs/{id}/timeline"): Asked(),
    ("GET", "/api/v1/jobs/{id}/outputs"): Asked(),
    ("GET", "/api/v1/jobs/{id}/artifacts"): Asked(),
    ("GET", "/api/v1/jobs/{id}/artifacts/{name:.+}"): Asked(ended=True),
    ("GET", "/api/v1/jobs/{id}/log"): Asked(),
    ("GET", "/api/v1/jobs/{id}/log/lines"): Asked("?row=1"),
    ("GET", "/api/v1/jobs/{id}/log/find"): Asked("?words=a"),
    ("PATCH", "/api/v1/jobs/{id}/input"): Asked("?offset=0"),
    ("GET", "/api/v1/jobs/{id}/input"): Asked(),
    ("PATCH", "/api/v1/contents/{digest}"): Asked("?size=0&offset=0"),
    ("GET", "/api/v1/contents/{digest}"): Asked(),
    ("GET", "/api/v1/events"): Asked(),
    ("POST", "/api/v1/groups"): Asked(
        body={"spec": SPEC}, foreign={"spec": {**SPEC, "queue": HIDDEN}}
    ),
    ("POST", "/api/v1/groups/explain"): Asked(
        body={"spec": SPEC}, foreign={"spec": {**SPEC, "queue": HIDDEN}}
    ),
    ("GET", "/api/v1/groups"): Asked(),
    ("GET", "/api/v1/groups/{id}"): Asked(),
    ("GET", "/api/v1/groups/{id}/members"): Asked(),
    ("POST", "/api/v1/groups/{id}/cancel"): Asked(),
    ("GET", "/api/v1/agents"): Asked(),
    ("GET", "/api/v1/agents/{name}"): Asked(),
    ("GET", "/api/v1/queues"): Asked(),
    ("GET", "/api/v1/queues/{name}"): Asked(),
    ("POST", "/api/v1/datahub/executions"): Asked(
        body=INGEST, foreign={**INGEST, "executor_id": HIDDEN}
    ),
    ("GET", "/api/v1/datahub/executions/{id}"): Asked(),
    ("POST", "/api/v1/datahub/signals"): Asked(body={"exec_id": "mine-1", "signal": "KILL"}),
    ("GET", "/api/v1/whoami"): Asked(),
    ("GET", "/"): Asked(),
    ("GET", "/about"): Asked(),
    ("GET", "/go"): Asked(f"?to={HIDDEN}-agent"),
    ("GET", "/live"): Asked(),
    ("GET", "/jobs"): Asked(),
    ("GET", "/jobs/{id}"): Asked(),
    ("POST", "/jobs/{id}/cancel"): Asked(body=NOTHING),
    ("POST", "/jobs/{id}/retry"): Asked(body=NOTHING, ended=True),
    ("GET", "/jobs/{id}/log"): Asked(),
    ("GET", "/jobs/{id}/artifacts/{name:.+}"): Asked(ended=True),
    ("GET", "/jobs/{id}/log/lines"): Asked("?row=1"),
    ("GET", "/jobs/{id}/log/find"): Asked("?words=a"),
    ("GET", "/jobs/{id}/log/raw"): Asked(),
    ("GET", "/jobs/{id}/log/live"): Asked(ended=True),
    ("GET", "/groups/{id}"): Asked(),
    ("POST", "/groups/{id}/cancel"): Asked(body=NOTHING),
    ("GET", "/queues"): Asked(),
    ("GET", "/queues/{name}"): Asked(),
    ("GET", "/agents"): Asked(),
    ("GET", "/agents/{name}"): Asked(),
    ("GET", "/submit"): Asked(),
    ("POST", "/submit"): Asked(body={**FORM, "queue": "mine"}, foreign={**FORM, "queue": HIDDEN}),
    ("POST", "/submit/explain"): Asked(body={**FORM, "queue": "mine"}),
    ("POST", "/logout"): Asked(body=NOTHING),
}
"""The calls that take tokens limited to queues."""
FOR_ANYBODY = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/api/v1/version"),
    ("GET", "/api/v1/openapi.json"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/oidc-login"),
    ("GET", "/oidc-callback"),
}
"""They tell nothing of queues, and ask nobody who he is."""


@dataclass
class World:
    """A server with two queues, one of which the token is limited to."""

    live: Live
    token: str
    own: dict[str, str]
    """The id of the token's own jobs and the names of the rest, by what they are for."""
    hidden: dict[str, str]

    def path(self, route: Route, asked: Asked, names: dict[str, str]) -> str:
        kind = route.path.removeprefix("/api/v1").split("/")[1]
        job = names["ended" if asked.ended else "input" if "input" in route.path else "running"]
        job = names["group"] if kind == "groups" else job
        job = names["execution"] if kind == "datahub" else job
        values = {"id": job, "name": names["agent" if kind == "agents" else "queue"]}
        values |= {"operation": "list_jobs", "digest": EMPTY}
        return re.sub(r"{(\w+)[^}]*}", lambda part: values[part[1]], route.path) + asked.query

    def gives_away(self, text: str, *said: str) -> list[str]:
        """What of the other queue is in an answer, but for what was said in the question."""
        for part in sorted(said, key=len, reverse=True):
            text = text.replace(part, "")
        words = {
            HIDDEN,
            *(job for kind, job in self.hidden.items() if kind not in ("agent", "queue")),
        }
        return [word for word in words if word in text.lower() or word in text]


async def jobs_of(live: Live, queue: str, agent: str, word: str) -> dict[str, str]:
    store, now = live.services.store, time.time()
    told = {"command": ["echo", word], "name": f"{word}-job", "env": {"WORD": word}, "queue": queue}
    running = await run_job(store, agent, now, **told)
    live.services.logs.append(
        running, f"2026-11-21T03:04:05.123456789Z stdout F a {word}\n".encode()
    )
    ended = await run_job(store, agent, now, **told)
    live.services.logs.append(ended, f"2026-11-21T03:04:05.123456789Z stdout F a {word}\n".encode())
    await finish(store, ended, agent=agent, now=now, artifacts=1)
    await give(live, ended, 1, queue, word.encode(), agent)
    waiting = await submitted(store, now, **told, labels={"word": word})
    group = await grouped(store, now, spec=told)
    return {
        "running": running.job,
        "ended": ended.job,
        "waiting": waiting,
        "group": group.id,
        "queue": queue,
        "agent": agent,
    }


async def execution(live: Live, queue: str, token: str | None = None) -> str:
    """The job of an execution of DataHub's."""
    asked = {**INGEST, "executor_id": queue, "exec_id": f"{queue}-1"}
    return str((await live.post("/datahub/executions", asked, token)).body["job"])


@pytest.fixture
async def world(live: Live) -> AsyncIterator[World]:
    for name in ("mine", HIDDEN):
        await live.post("/queues", {"name": name, "description": f"{name} things"})
    for name, queues in (
        ("both", ["mine", HIDDEN]),
        ("mine-agent", ["mine"]),
        (f"{HIDDEN}-agent", [HIDDEN]),
    ):
        made = await live.post("/registration-tokens", {"queues": queues})
        answer = await live.post(
            "/agent/register",
            {
                "name": name,
                "settings": {
                    "queues": queues,
                    "labels": {"site": name},
                    "capacity": dict.fromkeys((*queues, "default"), 3),
                },
                "fingerprint": name,
            },
            made.body["token"],
        )
        assert answer.status == 201, answer.text
    await live.post(f"/agents/{HIDDEN}-agent/pause", {"comment": f"{HIDDEN} comment"})
    own = await jobs_of(live, "mine", "mine-agent", "berlin")
    hidden = await jobs_of(live, HIDDEN, f"{HIDDEN}-agent", HIDDEN)
    # The agent that serves both runs one of each.
    now = time.time()
    own["on both"] = (await run_job(live.services.store, "both", now, queue="mine")).job
    hidden["on both"] = (
        await run_job(live.services.store, "both", now, queue=HIDDEN, name=f"{HIDDEN}-2")
    ).job
    made = await live.post("/tokens", {"name": "team", "role": "operator", "queues": ["mine"]})
    assert made.status == 201, made.text
    token = made.body["token"]
    own["execution"] = await execution(live, "mine", token)
    hidden["execution"] = await execution(live, HIDDEN)
    own["input"] = (await live.post("/jobs", {**SPEC, "stdin": True}, token)).body["id"]
    hidden["input"] = (await live.post("/jobs", {**SPEC, "queue": HIDDEN, "stdin": True})).body[
        "id"
    ]
    yield World(live, token, own, hidden)


async def ask(world: World, route: Route, path: str, body: Any) -> tuple[int, str]:
    """What an API call answers."""
    answer = await world.live.ask(route.method, path.removeprefix("/api/v1"), body, world.token)
    return answer.status, answer.text + str(answer.headers)


async def visit(browser: Visitor, route: Route, path: str, body: Any) -> tuple[int, str]:
    """What a page answers; the beginning of what has no end."""
    if route.method == "POST":
        seen = await browser.send(path, **(body or {}))
        return seen.status, seen.text + str(seen.headers)
    if route.streams and not path.endswith("/raw"):
        async with browser.session.get(browser.live.url + path) as answer:
            return answer.status, (await answer.content.readany()).decode()
    seen = await browser.get(path)
    return seen.status, seen.text + str(seen.headers)


def taking(route: Route) -> bool:
    return TokenKind.API in route.access.kinds


def called(route: Route) -> tuple[str, str]:
    return route.method, route.path


def test_every_call_that_takes_such_tokens_is_tried_here() -> None:
    assert {called(route) for route in ROUTES if route.access.limited} == TAKEN.keys(), (
        "say in TAKEN what a call is asked that takes tokens limited to queues"
    )
    assert len(TAKEN) > 35
    admins = [called(route) for route in ROUTES if route.access.role is Role.ADMIN]
    assert not [call for call in admins if call in TAKEN]


async def test_all_other_calls_refuse_them(world: World) -> None:
    tried = 0
    async with visitor(world.live, None) as browser:
        await browser.sign_in(world.token)
        for route in ROUTES:
            if route.access.limited or not taking(route):
                continue
            path = world.path(route, Asked(), world.own)
            if route.page:
                status, text = await visit(browser, route, path, NOTHING)
            else:
                status, text = await ask(world, route, path, None)
            assert status == 403, (called(route), status, text[:300])
            assert "is limited to the queues mine" in text or "needs the role admin" in text, text
            assert not world.gives_away(text), called(route)
            tried += 1
    assert tried >= 35


async def test_what_anybody_may_ask_tells_nothing_of_queues(world: World) -> None:
    anybody = {called(route) for route in ROUTES if not route.access.kinds}
    metrics = {("GET", "/metrics"), ("GET", "/telemetry")}
    files = {("GET", "/static/{version}/{name}")}
    # A login says no more than the program that began it knows, until a person gives it a token.
    logins = {("POST", "/api/v1/logins"), ("POST", "/api/v1/logins/token")}
    assert anybody - files == FOR_ANYBODY | metrics | logins
    for _, path in metrics:
        (await world.live.get(path, world.token)).problem(403, "forbidden")
    for method, path in FOR_ANYBODY - {("POST", "/login")}:
        if path.startswith("/oidc-"):
            continue  # there is no provider here
        async with world.live.session.request(method, world.live.url + path) as answer:
            assert answer.status == 200
            assert not world.gives_away(await answer.text()), path


async def test_every_call_that_takes_them_knows_only_the_tokens_own(world: World) -> None:
    routes = [route for route in ROUTES if route.access.limited]
    # What changes something comes after what looks, and the end of the session last.
    routes.sort(key=lambda route: (route.path == "/logout", route.method != "GET"))
    async with visitor(world.live, None) as browser:
        await browser.sign_in(world.token)
        for route in routes:
            async with asyncio.timeout(DEADLINE):
                await knows_only_its_own(world, browser, route)


async def knows_only_its_own(world: World, browser: Visitor, route: Route) -> None:
    asked = TAKEN[called(route)]

    async def answer(names: dict[str, str], body: Any) -> tuple[int, str, str]:
        path = world.path(route, asked, names)
        if route.page:
            return *(await visit(browser, route, path, body)), path
        return *(await ask(world, route, path, body)), path

    # A content is of a token and of no queue: nobody knows another one's.
    if "{" in route.path and "{digest}" not in route.path:
        status, text, path = await answer(world.hidden, asked.body)
        assert status == 404, (called(route), status, text[:500])
        said = [part for part in re.split("[/?]", path) if part]
        assert not world.gives_away(text, *said), (called(route), text)
    if asked.foreign is not None:
        status, text, _ = await answer(world.own, asked.foreign)
        assert status == 422, (called(route), status, text[:500])
        # The queue's name comes back, for it was typed; nothing that belongs to it does.
        assert not world.gives_away(text, HIDDEN), (called(route), text)
        assert f"{HIDDEN}-" not in text and f"{HIDDEN} things" not in text, (called(route), text)
    status, text, path = await answer(world.own, asked.body)
    assert status in (200, 201, 202, 303), (called(route), status, text[:500])
    said = [path.partition("to=")[2]] if "to=" in path else []
    assert not world.gives_away(text, *said), (called(route), text)


async def test_pages_and_totals_are_of_its_own_jobs(world: World) -> None:
    live, token = world.live, world.token
    mine = sorted(job for kind, job in world.own.items() if kind not in ("agent", "queue", "group"))
    members = await live.services.store.members(world.own["group"], 9)
    mine = sorted([*mine, *(one.job for one in members)])
    assert (await live.get(f"/jobs?group={world.hidden['group']}", token)).body["items"] == []
    whole = (await live.get("/jobs", token)).body
    assert whole["total"] == len(mine)
    assert (await live.get(f"/jobs?queue={HIDDEN}", token)).body == {
        "items": [],
        "next_cursor": None,
        "total": 0,
    }
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await live.get(f"/jobs?limit=2{cursor}", token)).body
        assert page["total"] == len(mine) + len(seen) // 2
        seen += [item["id"] for item in page["items"]]
        # New ones come before the cursor, and move nothing after it.
        await live.post("/jobs", SPEC)
        await live.post("/jobs", {**SPEC, "queue": HIDDEN})
        if page["next_cursor"] is None:
            break
        assert page["next_cursor"] == seen[-1]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == mine[::-1]
    states = (await live.get("/jobs?state=running,queued&name=job", token)).body["items"]
    assert {item["queue"] for item in states} == {"mine"}


async def test_a_job_without_a_queue_goes_to_the_default_one_only_if_that_is_theirs(
    world: World,
) -> None:
    live, job = world.live, {"command": ["true"]}
    for path, body in (
        ("/jobs", job),
        ("/jobs/batch", {"jobs": [job, SPEC]}),
        ("/groups", {"spec": job}),
        ("/groups/explain", {"spec": job}),
    ):
        detail = (await live.post(path, body, world.token)).problem(422, "unknown_queue")["detail"]
        assert detail == (
            "the job names no queue, and the token may not use the server's default queue; name "
            "one of those to which it is limited: mine"
        )
    each = await live.post("/jobs/batch", {"jobs": [job, SPEC], "atomic": False}, world.token)
    said, made = each.body["results"]
    assert (said["code"], said["detail"]) == ("unknown_queue", detail) and made["id"]
    refused = await live.post("/jobs/explain", job, world.token)
    assert refused.body["outlook"] == "refused" and "names no queue" in refused.body["reason"]
    await live.ask("PATCH", "/queues/mine", {"default": True})
    keyed = {**job, "idempotency_key": "k"}
    first = await live.post("/jobs", keyed, world.token)
    assert (first.status, first.body["queue"]) == (201, "mine")
    group = await live.post("/groups", {"spec": keyed}, world.token)
    assert (group.status, group.body["queue"]) == (201, "mine")
    await live.ask("PATCH", f"/queues/{HIDDEN}", {"default": True})
    again = await live.post("/jobs", keyed, world.token)
    assert (again.status, again.body["id"]) == (200, first.body["id"])
    again = await live.post("/groups", {"spec": keyed}, world.token)
    assert (again.status, again.body["id"]) == (200, group.body["id"])
    for asked in (job, {**job, "idempotency_key": "new"}):
        refused = await live.post("/jobs", asked, world.token)
        assert HIDDEN not in refused.problem(422, "unknown_queue")["detail"]
    async with visitor(live, None) as browser:
        await browser.sign_in(world.token)
        form = (await browser.get("/submit")).text
        assert 'name="queue"' in form and 'value="mine"' in form and HIDDEN not in form


async def test_a_stream_of_events_has_only_its_own_and_goes_on(world: World) -> None:
    live = world.live
    everybodys = [json.loads(line) for line in (await live.get("/events")).text.splitlines()]
    lines = (await live.get("/events", world.token)).text.splitlines()
    found = [json.loads(line) for line in lines]
    # At the end both have come to the same number.
    assert found.pop() == everybodys.pop()
    mine = {job for kind, job in world.own.items() if kind not in ("agent", "queue")}
    mine |= {one.job for one in await live.services.store.members(world.own["group"], 9)}
    assert found == [event for event in everybodys if event["job"] in mine]
    last = found[-1]["seq"]
    async with (
        live.open("GET", f"/events?after={last}&follow=true", world.token) as stream,
        asyncio.timeout(DEADLINE),
    ):
        for _ in range(3):
            await live.post("/jobs", {**SPEC, "queue": HIDDEN})
        made = (await live.post("/jobs", SPEC)).body["id"]
        event = json.loads(await stream.content.readline())
        assert event["job"] == made and event["seq"] > last + 3


async def test_a_private_input_is_taken_and_never_given_back(world: World) -> None:
    spec = {**SPEC, "private_input": "hush"}
    calls = {
        "/jobs": spec,
        "/jobs/batch": {"jobs": [spec], "atomic": False},
    }
    for path, body in calls.items():
        answer = await world.live.ask("POST", path, body, world.token)
        assert (answer.status, "hush" in answer.text) == (201, False), answer.text
    jobs, _ = await world.live.services.store.jobs()
    mine = [job for job in jobs if job.spec.private_input]
    assert len(mine) >= 2
    for job in mine:
        assert await world.live.services.vault.private_input(job.id) == ("hush", "")
    vault = limited(world.live.services, replace(ANY_TOKEN, queues=("default",))).vault
    with pytest.raises(Refused, match="limited to queues"):
        await vault.private_input(mine[0].id)


async def test_a_page_hears_of_its_own_queues(world: World) -> None:
    async with visitor(world.live, None) as browser:
        await browser.sign_in(world.token)
        async with browser.session.get(f"{world.live.url}/live") as stream:
            await stream.content.readuntil(b"\n\n")
            assert set(world.live.services.followers._followers) == {queue_topic("mine")}


async def test_an_agent_that_serves_others_shows_only_how_full_it_is(world: World) -> None:
    shown = (await world.live.get("/agents/both", world.token)).body
    assert (shown["queues"], shown["capacity"]) == (["mine"], {"mine": 3, "default": 3})
    assert (shown["jobs"], shown["running"]) == ([world.own["on both"]], 2)
    names = [item["name"] for item in (await world.live.get("/agents", world.token)).body["items"]]
    assert names == ["both", "mine-agent"]
    first = (await world.live.get("/agents?limit=1", world.token)).body
    assert [item["name"] for item in first["items"]] == ["both"]
    rest = await world.live.get(f"/agents?cursor={first['next_cursor']}", world.token)
    assert [item["name"] for item in rest.body["items"]] == ["mine-agent"]


async def test_allowed_actions_say_what_such_a_token_may(world: World) -> None:
    live, token = world.live, world.token
    operator = await live.token_for("operator")
    for path in (f"/jobs/{world.own['running']}", f"/jobs/{world.own['ended']}"):
        mine, theirs = [(await live.get(path, who)).body for who in (token, operator)]
        assert mine["allowed_actions"] == theirs["allowed_actions"] != []
    for path, act in (("/agents/mine-agent", "/pause"), ("/queues/mine", "")):
        assert (await live.get(path, token)).body["allowed_actions"] == []
        assert (await live.get(path, operator)).body["allowed_actions"] != []
        method = "POST" if act else "PATCH"
        (await live.ask(method, path + act, {}, token)).problem(403, "forbidden")


async def test_pages_draw_what_such_a_token_may(world: World) -> None:
    async with visitor(world.live, None) as browser:
        await browser.sign_in(world.token)
        assert (await browser.get("/")).location == "./jobs"
        page = await browser.get("/agents")
        assert "operator, limited to mine" in page.words and "both" in page.words
        assert 'name="agent"' not in page.text, "nothing to tick"
        agent = await browser.get("/agents/both")
        assert "/pause" not in agent.text and "Overview" not in agent.words
        assert "/pause" not in (await browser.get("/queues/mine")).text
        assert "Submit a job" in (await browser.get("/jobs")).words


async def test_only_viewers_and_operators_are_limited(live: Live) -> None:
    body = {"name": "boss", "role": "admin", "queues": ["default"]}
    assert (
        "does everything" in (await live.post("/tokens", body)).problem(422, "validation")["detail"]
    )
    unknown = await live.post("/tokens", {"name": "x", "queues": ["nowhere"]})
    unknown.problem(422, "unknown_queue")


async def test_a_queue_that_is_made_again_is_another_queue(live: Live) -> None:
    await live.post("/queues", {"name": "short"})
    some = (await live.post("/tokens", {"name": "some", "queues": ["default", "short"]})).body
    only = (await live.post("/tokens", {"name": "only", "queues": ["short"]})).body
    async with live.open("GET", "/events?follow=true", some["token"]) as stream:
        assert stream.status == 200
        assert (await live.ask("DELETE", "/queues/short")).status == 204
        async with asyncio.timeout(DEADLINE):
            # It was begun with more than the token has now.
            with pytest.raises(ClientError):
                await stream.content.read()
                raise ClientConnectionError
    await live.post("/queues", {"name": "short"})
    job = (await live.post("/jobs", {**SPEC, "queue": "short"})).body["id"]
    (await live.get(f"/jobs/{job}", some["token"])).problem(404, "not_found")
    assert (await live.get("/whoami", some["token"])).body["queues"] == ["default"]
    (await live.get("/jobs", only["token"])).problem(401, "invalid_token")


def test_the_limited_store_has_the_methods_of_the_store() -> None:
    own = inspect.getmembers(LimitedStore, inspect.isfunction)
    assert len(own) > 20
    for name, method in own:
        if name.startswith("_"):
            continue
        assert inspect.signature(method) == inspect.signature(getattr(Store, name)), name


async def test_what_is_not_there_is_refused(live: Live) -> None:
    token = replace(ANY_TOKEN, queues=("default",))
    services = limited(live.services, token)
    parts: list[Any] = [services.store, services.hub, services.metrics, services.agent_logs]
    for part in parts:
        with pytest.raises(Refused, match="limited to queues"):
            part.anything_new  # noqa: B018


WHOLE = {
    *("config", "logs", "reserve", "inputs", "sessions", "followers", "streams", "connections"),
    *("bodies", "trail", "description", "readiness", "line_indexes", "provider_sign_in"),
    *("program_logins", "pace", "artifacts", "contents", "relays"),
}
"""Parts of the server that say nothing of queues by themselves, or are asked by the id of a job
that was found before."""


async def test_every_part_of_the_server_was_thought_of(live: Live) -> None:
    services = limited(live.services, replace(ANY_TOKEN, queues=("default",)))
    same = {
        field.name
        for field in fields(Services)
        if getattr(services, field.name) is getattr(live.services, field.name)
    }
    assert same == WHOLE
