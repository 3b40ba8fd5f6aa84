"""The audit by the API: every call that changes something is in it, and admins read it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from remote_server.web.application import ROUTES
from tests.support.live_server import Live
from tests.support.visitor import Visitor, visitor

JOB = {"command": ["true"]}
ASKING = {
    ("POST", "/api/v1/jobs/explain"),
    ("POST", "/api/v1/jobs/lookup"),
    ("POST", "/api/v1/groups/explain"),
    ("POST", "/submit/explain"),
}
ASKING |= {("POST", "/api/v1/logins"), ("POST", "/api/v1/agent/relay/{attempt}")}
"""Calls with a body that change nothing."""
CHANGING = {(r.method, r.path) for r in ROUTES if r.method not in ("GET", "HEAD")} - ASKING


class Doer:
    """Does each call that changes something once, as it is meant."""

    def __init__(self, live: Live, browser: Visitor) -> None:
        self.live = live
        self.browser = browser
        self.done: set[tuple[str, str]] = set()
        self.seen = 0

    async def entries(self) -> list[dict[str, Any]]:
        """What is new in the audit."""
        page = await self.live.get("/audit?limit=100")
        items = [item for item in page.body["items"] if item["number"] > self.seen]
        self.seen = page.body["items"][0]["number"]
        # Those come when the loop of the hub has its turn.
        return [item for item in reversed(items) if item["action"] != "agent.disconnect"]

    async def told(self, method: str, path: str, *actions: str) -> None:
        """The call with this route was just made: the audit has these actions, by their actor."""
        items = await self.entries()
        assert [item["action"] for item in items] == list(actions), (method, path)
        assert {item["result"] for item in items} <= {"ok"}
        assert {item["address"] for item in items} == {"127.0.0.1"}
        assert all(item["actor"] and item["token_id"] for item in items)
        route = next(r for r in ROUTES if (r.method, r.path) == (method, path))
        assert route.action in actions or route.action == "agent.instruct"
        self.done.add((method, path))

    async def api(
        self, method: str, path: str, body: Any, action: str, token: str | None = None, **names: str
    ) -> Any:
        """A call of the API."""
        await self.entries()
        query = names.pop("query", "")
        answer = await self.live.ask(method, path.format(**names) + query, body, token)
        assert answer.status < 300, (path, answer.text)
        await self.told(method, f"/api/v1{path}", action)
        return answer.body if answer.text else None

    async def page(self, path: str, action: str, form: dict[str, str], **names: str) -> None:
        """A form of a page."""
        await self.entries()
        seen = await self.browser.send(path.format(**names), **form)
        assert seen.status in (200, 303), (path, seen.words)
        await self.told("POST", path, action)


async def _by_api(do: Doer) -> None:
    live = do.live
    job = (await do.api("POST", "/jobs", JOB, "job.submit"))["id"]
    await do.api("POST", "/jobs/batch", {"jobs": [JOB, JOB]}, "job.submit")
    await do.api("POST", "/jobs/{id}/cancel", {"reason": "enough"}, "job.cancel", id=job)
    await do.api("POST", "/jobs/{id}/retry", None, "job.retry", id=job)
    fed = (await do.api("POST", "/jobs", {**JOB, "stdin": True}, "job.submit"))["id"]
    asked = {"name": "RUN_INGEST", "args": {"recipe": '{"source": {"type": "file"}}'}}
    made = await do.api("POST", "/datahub/executions", asked, "job.submit")
    asked = {"exec_id": made["exec_id"], "signal": "KILL"}
    await do.api("POST", "/datahub/signals", asked, "job.cancel")
    end = {"id": fed, "query": "?offset=0&end=true"}
    await do.api("PATCH", "/jobs/{id}/input", "data", "job.input", **end)
    digest = {"digest": hashlib.sha256(b"data").hexdigest(), "query": "?size=4&offset=0"}
    await do.api("PATCH", "/contents/{digest}", "data", "content.send", **digest)
    await do.api("POST", "/queues", {"name": "berlin"}, "queue.create")
    change = {"description": "rack 7"}
    await do.api("PATCH", "/queues/{name}", change, "queue.update", name="berlin")
    await do.api("DELETE", "/queues/{name}", None, "queue.delete", name="berlin")
    made = await do.api("POST", "/tokens", {"name": "ci"}, "token.create")
    await do.api("DELETE", "/tokens/{id}", None, "token.revoke", id=made["id"])
    where = "/registration-tokens"
    made = await do.api("POST", where, {"uses": 2}, "registration_token.create")
    body = {"name": "a", "settings": {}, "fingerprint": "f"}
    own = await do.api("POST", "/agent/register", body, "agent.register", made["token"])
    revoked = {"id": made["id"]}
    await do.api("DELETE", where + "/{id}", None, "registration_token.revoke", **revoked)
    for what in ("pause", "resume", "drain", "rotate-token"):
        action = f"agent.{what.replace('-', '_')}"
        found = await do.api("POST", f"/agents/{{name}}/{what}", None, action, name="a")
    await do.api("PATCH", "/agents/{name}", {"labels": {"a": "b"}}, "agent.update", name="a")
    assert own["token"] != found["token"]
    async with live.connect(found["token"], process="p1"):
        await do.api("POST", "/agents/{name}/restart", None, "agent.restart", name="a")
    where = "/agent/registration"
    await do.api("DELETE", where, None, "agent.unregister", found["token"])
    await live.register("b")
    await do.api("DELETE", "/agents/{name}", None, "agent.delete", name="b")


async def _tried(do: Doer, name: str, id: str) -> None:
    """Wait until a message was sent, as well as it could be."""
    async with asyncio.timeout(60):
        while (await do.live.get(f"/webhooks/{name}/deliveries/{id}")).body["state"] == "pending":
            await asyncio.sleep(0.01)


async def _webhooks(do: Doer) -> None:
    url = "https://127.0.0.1:9/who-may-send"
    body = {"name": "pager", "url": url, "events": ["job.ended"]}
    name = {"name": "pager"}
    await do.api("POST", "/webhooks", body, "webhook.create")
    path = "/webhooks/{name}"
    await do.api("PATCH", path, {"url": url + "/2"}, "webhook.update", **name)
    sent = await do.api("POST", path + "/test", None, "webhook.test", **name)
    await _tried(do, "pager", sent["id"])
    again = {"id": sent["id"], **name}
    await do.api("POST", path + "/deliveries/{id}/replay", None, "webhook.replay", **again)
    await do.api("POST", path + "/rotate-secret", None, "webhook.rotate_secret", **name)
    await do.api("DELETE", path, None, "webhook.delete", **name)
    assert "who-may-send" not in (await do.live.get("/audit?subject=pager")).text


async def _webhook_pages(do: Doer) -> None:
    rule = {"url": "https://127.0.0.1:9/who-may-send", "events": "job.ended"}
    hook, path = {"name": "horn"}, "/webhooks/{name}"
    await do.page("/webhooks", "webhook.create", {"name": "horn", **rule})
    await do.page(path + "/test", "webhook.test", {}, **hook)
    sent = (await do.live.get("/webhooks/horn/deliveries")).body["items"][0]["id"]
    await _tried(do, "horn", sent)
    again = {"id": sent, **hook}
    await do.page(path + "/deliveries/{id}/replay", "webhook.replay", {}, **again)
    for what in ("change", "disable", "enable"):
        form = rule if what == "change" else {}
        await do.page(f"{path}/{what}", "webhook.update", form, **hook)
    await do.page(path + "/rotate-secret", "webhook.rotate_secret", {}, **hook)
    await do.page(path + "/delete", "webhook.delete", {}, **hook)
    assert "who-may-send" not in (await do.live.get("/audit?subject=horn")).text


async def _groups(do: Doer) -> None:
    await do.live.register("member")
    group = {"spec": JOB}
    made = await do.api("POST", "/groups", group, "group.submit")
    await do.api("POST", "/groups/{id}/cancel", {"reason": "x"}, "group.cancel", id=made["id"])
    made = await do.api("POST", "/groups", group, "group.submit")
    await do.page("/groups/{id}/cancel", "group.cancel", {}, id=made["id"])


async def _secrets(do: Doer) -> None:
    value, name, path = {"value": "only-we-know"}, {"name": "A"}, "/secrets/{name}"
    await do.api("PUT", path, value, "secret.create", **name)
    await do.api("PATCH", path, {"all_queues": True}, "secret.update", **name)
    await do.api("DELETE", path, None, "secret.delete", **name)
    await do.page("/secrets", "secret.create", {**name, **value})
    await do.page("/secrets/{name}/delete", "secret.delete", {}, **name)
    assert "only-we-know" not in (await do.live.get("/audit?subject=A")).text


async def _logins(do: Doer) -> None:
    login = (await do.live.post("/logins", {"name": "laptop"}, "")).body
    form = {"code": login["code"], "answer": "confirm", "role": "viewer"}
    await do.page("/confirm", "login.confirm", form)
    asked = {"secret": login["secret"]}
    answer = await do.api("POST", "/logins/token", asked, "token.create", "")
    await do.api("DELETE", "/whoami", None, "token.revoke", answer["token"]["token"])


async def _by_pages(do: Doer) -> None:
    live = do.live
    name = {"name": "c"}
    async with live.connect(await live.register("c"), process="p1"):
        await do.page("/agents/{name}/restart", "agent.restart", {}, **name)
    for what, action in (("pause", "pause"), ("resume", "resume"), ("drain", "drain")):
        await do.page(f"/agents/{{name}}/{what}", f"agent.{action}", {}, **name)
    await do.page("/agents", "agent.pause", {"agent": "c", "act": "pause"})
    form = {"queues": "default", "labels": "a=b", "capacity": "default=2"}
    await do.page("/agents/{name}/change", "agent.update", form, **name)
    await do.page("/agents/{name}/rotate-token", "agent.rotate_token", {}, **name)
    await do.page("/agents/{name}/delete", "agent.delete", {}, **name)
    await do.page("/queues", "queue.create", {"name": "paris"})
    for what, action in (
        ("change", "update"),
        ("default", "update"),
        ("pause", "pause"),
        ("resume", "resume"),
    ):
        await do.page(f"/queues/{{name}}/{what}", f"queue.{action}", {}, name="paris")
    await live.ask("PATCH", "/queues/default", {"default": True})
    await do.page("/queues/{name}/delete", "queue.delete", {}, name="paris")
    await do.page("/submit", "job.submit", {"run": "true", "shell": "sh"})
    job = (await live.post("/jobs", JOB)).body["id"]
    await do.page("/jobs/{id}/cancel", "job.cancel", {}, id=job)
    await do.page("/jobs/{id}/retry", "job.retry", {}, id=job)
    await do.page("/tokens/api", "token.create", {"name": "n", "role": "viewer"})
    await do.page("/tokens/agent", "token.create", {"agent": "n"})
    await do.page("/tokens/registration", "registration_token.create", {})
    made = (await live.post("/tokens", {"name": "ci"})).body["id"]
    await do.page("/tokens/{id}/revoke", "token.revoke", {}, id=made)


async def test_every_call_that_changes_something_is_told(live: Live) -> None:
    async with visitor(live) as browser, visitor(live, None) as other:
        do = Doer(live, browser)
        await _by_api(do)
        await _webhooks(do)
        await _webhook_pages(do)
        await _secrets(do)
        await _groups(do)
        await _by_pages(do)
        await _logins(do)
        await do.entries()
        token = await live.token_for("viewer")
        await do.entries()
        await other.sign_in(token)
        await do.told("POST", "/login", "session.sign_in")
        await other.send("/logout")
        await do.told("POST", "/logout", "session.sign_out")
        assert (await live.post("/jobs/explain", JOB)).status == 200
        assert (await live.post("/jobs/lookup", {})).status == 200
        assert (await live.post("/groups/explain", {"spec": JOB})).status == 200
        assert (await browser.send("/submit/explain", run="true", shell="sh")).status == 200
        assert (await do.entries()) == []
    assert do.done == CHANGING, "a call that changes something is not in this test"
    assert await live.services.store.check() == []


def test_every_call_that_changes_something_has_a_name() -> None:
    for route in ROUTES:
        if (route.method, route.path) in CHANGING:
            kind, _, what = route.action.partition(".")
            assert kind and what, f"{route.method} {route.path} needs an action"


async def test_an_entry_is_complete(live: Live) -> None:
    await live.post("/queues", {"name": "berlin"})
    await live.ask("PATCH", "/queues/berlin", {"job_retention": 86400})
    item = (await live.get("/audit?limit=1")).body["items"][0]
    assert len(item.pop("hash")) == 64
    assert item.pop("at").endswith("Z")
    assert item.pop("number") > 1
    token = await live.get("/whoami")
    assert item == {
        "actor_kind": "api",
        "actor": "first-admin",
        "token_id": token.body["id"],
        "address": "127.0.0.1",
        "action": "queue.update",
        "subject_kind": "queue",
        "subject": "berlin",
        "result": "ok",
        "repeated": 0,
        "detail": {"job_retention": {"old": None, "new": 86400.0}},
    }


async def test_only_admins_read_it(live: Live) -> None:
    for role in ("viewer", "operator"):
        token = await live.token_for(role)
        for path in ("/audit", "/audit/stream"):
            (await live.get(path, token)).problem(403, "forbidden")


async def test_filters_and_pages(live: Live) -> None:
    for name in ("one", "two", "three"):
        await live.post("/queues", {"name": name})
    page = await live.get("/audit?action=queue.&limit=2")
    assert [item["subject"] for item in page.body["items"]] == ["three", "two"]
    cursor = page.body["next_cursor"]
    page = await live.get(f"/audit?action=queue.&limit=2&cursor={cursor}")
    assert [item["subject"] for item in page.body["items"]] == ["one"]
    assert page.body["next_cursor"] is None
    for query, count in (
        ("subject=queue:two", 1),
        ("subject=two", 1),
        ("subject=agent:two", 0),
        ("actor=first-admin&action=queue", 3),
        ("action=queue&since=1h", 3),
        ("action=queue&until=1h", 0),
        ("action=queue&result=ok", 3),
    ):
        page = await live.get(f"/audit?{query}")
        assert len(page.body["items"]) == count, query
    for query in ("cursor=x", "since=yesterday", "limit=0", "who=me", "actor="):
        assert (await live.get(f"/audit?{query}")).status == 422, query


async def test_the_stream_is_an_export_and_resumes(live: Live) -> None:
    for name in ("one", "two", "three"):
        await live.post("/queues", {"name": name})
    lines = (await live.get("/audit/stream?action=queue.")).text.splitlines()
    found = [json.loads(line) for line in lines]
    assert [item["subject"] for item in found[:-1]] == ["one", "two", "three"]
    assert found[-1]["event"] == "end"
    first = found[0]["number"]
    lines = (await live.get(f"/audit/stream?action=queue.&after={first}")).text.splitlines()
    assert [json.loads(line)["subject"] for line in lines[:-1]] == ["two", "three"]


async def test_followers_hear_of_each_entry(live: Live) -> None:
    async with asyncio.timeout(60):
        async with live.open("GET", "/audit/stream?after=-1&follow=true&action=queue.") as stream:
            assert stream.status == 200
            await live.post("/queues", {"name": "berlin"})
            line = json.loads(await stream.content.readline())
            assert (line["action"], line["subject"]) == ("queue.create", "berlin")


async def test_an_agents_session_is_told(live: Live) -> None:
    token = await live.register("berlin")
    async with live.connect(token):
        pass
    async with asyncio.timeout(60):
        while True:
            await live.services.hub.trail.write()
            found = (await live.get("/audit?subject=agent:berlin")).body["items"]
            if found[0]["action"] == "agent.disconnect":
                break
            await asyncio.sleep(0.01)
    assert [item["action"] for item in found[::-1]] == [
        "agent.register",
        "agent.connect",
        "agent.disconnect",
    ]
    assert {(item["actor_kind"], item["actor"]) for item in found[:2]} == {("agent", "berlin")}
    assert found[0]["detail"] == {"session": 1}
    assert found[1]["detail"] == {"session": 1, "version": "test", "queues": ["default"]}


async def test_an_agent_that_comes_again_and_again_is_counted(live: Live) -> None:
    token = await live.register("berlin")
    for _ in range(4):
        async with live.connect(token):
            pass
    found = (await live.get("/audit?subject=agent:berlin&action=agent.connect")).body["items"]
    assert len(found) == 1
