"""Webhooks: all of them, one with its messages, and what can be done with them."""

from __future__ import annotations

import json
import time
from typing import Any, Final, Literal

from aiohttp import web
from pydantic import Field

from remote_protocol.api.webhooks import (
    DeliveryState,
    Events,
    Pattern,
    Reasons,
    SecretRotation,
    States,
    Url,
    WebhookChange,
    WebhookCreate,
    WebhookView,
)
from remote_protocol.ids import Name
from remote_protocol.states import EndReason, JobState
from remote_server.domain.webhooks import Webhook
from remote_server.queries.webhooks import delivery_detail, delivery_view, webhook_view
from remote_server.web.access import ADMIN
from remote_server.web.http.problems import ApiProblem
from remote_server.web.pages.given import GivenQueues
from remote_server.web.pages.rendering import PageShown, as_faults, go, render
from remote_server.web.pages.webhook_words import EVENTS
from remote_server.web.route import Call, PageForm, Route

SHOWN: Final = 50
"""Messages on one page of the list."""
_HIDDEN: Final = "…"
"""Instead of a URL in the server's log: many receivers tell who may send by a part of it."""
_LISTS: Final = ("events", "states", "end_reasons")
_ENDED: Final = [state.value for state in JobState if state.terminal]


class RuleForm(PageForm):
    """What a webhook tells, and to whom: what is left empty does not matter."""

    url: Url
    events: Events
    queues: GivenQueues = Field(default=[])
    job_name: Pattern | None = None
    agent_name: Pattern | None = None
    states: States = Field(default=[])
    end_reasons: Reasons = Field(default=[])


class WebhookForm(RuleForm):
    """The form that makes a webhook."""

    name: Name


class DeliveriesShown(PageShown):
    """The query of a webhook's page: which of its messages are shown."""

    state: Literal["", "pending", "delivered", "failed"] = ""
    before: str = Field(default="", max_length=26)
    """The id of the message after which the list begins."""


@Route("GET", "/webhooks", ADMIN, page=True, query=PageShown)
async def all_webhooks(call: Call) -> web.StreamResponse:
    """All webhooks with how they fare."""
    call.query(PageShown)
    return await _list(call)


async def _list(call: Call, status: int = 200, **form: Any) -> web.Response:
    hooks = [await _view(call, hook) for hook in await call.services.store.webhooks()]
    new: dict[str, Any] = {"events": ["job.ended"]}
    values: dict[str, Any] = {"given": new, "faults": {}, **form, **_choices()}
    return render(call, "webhooks.html", status=status, hooks=hooks, **values)


@Route("POST", "/webhooks", ADMIN, page=True, body=WebhookForm, action="webhook.create")
async def create(call: Call) -> web.StreamResponse:
    """Make a webhook, and show its secret: this once, and nowhere else."""
    try:
        form = call.form(WebhookForm)
    except ApiProblem as problem:
        return await _list(call, problem.status, given=_given(call), faults=_faults(problem))
    call.given = form.model_copy(update={"url": _HIDDEN})
    wanted = WebhookCreate.model_validate(form.model_dump())
    key = call.services.signing_key.id
    made = await call.services.store.create_webhook(wanted, key, time.time(), by=call.principal)
    return _secret(
        call,
        made,
        f"The secret of the webhook {made.name}",
        "Its messages are signed with it: give it to the receiver, which verifies them.",
    )


@Route("GET", "/webhooks/{name}", ADMIN, page=True, query=DeliveriesShown)
async def one_webhook(call: Call) -> web.StreamResponse:
    """One webhook with what it told."""
    return await _page(call, call.query(DeliveriesShown))


async def _page(call: Call, query: DeliveriesShown, status: int = 200, **form: Any) -> web.Response:
    store = call.services.store
    hook = await _view(call, await store.webhook(call.path("name")))
    state = DeliveryState(query.state) if query.state else None
    found = await store.deliveries(hook.name, SHOWN + 1, query.before or None, state)
    values: dict[str, Any] = {"given": hook.model_dump(), "faults": {}, **form, **_choices()}
    return render(
        call,
        "webhook.html",
        status=status,
        hook=hook,
        query=query,
        deliveries=[delivery_view(one) for one in found[:SHOWN]],
        older=found[SHOWN - 1].id if len(found) > SHOWN else "",
        **values,
    )


@Route("GET", "/webhooks/{name}/deliveries/{id}", ADMIN, page=True, query=PageShown)
async def one_delivery(call: Call) -> web.StreamResponse:
    """One message with what was sent."""
    call.query(PageShown)
    store, name = call.services.store, call.path("name")
    hook = await _view(call, await store.webhook(name))
    found = delivery_detail(await store.delivery(name, call.path("id")))
    body = json.dumps(json.loads(found.body), indent=2, ensure_ascii=False)
    return render(call, "delivery.html", hook=hook, delivery=found, body=body)


@Route("POST", "/webhooks/{name}/change", ADMIN, page=True, body=RuleForm, action="webhook.update")
async def change(call: Call) -> web.StreamResponse:
    """Change what a webhook tells, and to whom."""
    try:
        form = call.form(RuleForm)
    except ApiProblem as problem:
        given, faults = _given(call), _faults(problem)
        return await _page(call, DeliveriesShown(), problem.status, given=given, faults=faults)
    call.given = form.model_copy(update={"url": _HIDDEN})
    return await _change(call, WebhookChange.model_validate(form.model_dump()), "changed")


@Route("POST", "/webhooks/{name}/enable", ADMIN, page=True, action="webhook.update")
async def enable(call: Call) -> web.StreamResponse:
    """Let a webhook tell what happens from now on."""
    return await _change(call, WebhookChange(enabled=True), "enabled")


@Route("POST", "/webhooks/{name}/disable", ADMIN, page=True, action="webhook.update")
async def disable(call: Call) -> web.StreamResponse:
    """Let a webhook tell nothing."""
    return await _change(call, WebhookChange(enabled=False), "disabled")


async def _change(call: Call, wanted: WebhookChange, done: str) -> web.Response:
    name = call.path("name")
    await call.services.store.change_webhook(name, wanted, time.time(), by=call.principal)
    return go(call, f"webhooks/{name}", done=done)


@Route("POST", "/webhooks/{name}/test", ADMIN, page=True, action="webhook.test")
async def test(call: Call) -> web.StreamResponse:
    """Send a test message."""
    name = call.path("name")
    await call.services.store.put_test(name, time.time(), by=call.principal)
    return go(call, f"webhooks/{name}", done="tested")


@Route("POST", "/webhooks/{name}/deliveries/{id}/replay", ADMIN, page=True, action="webhook.replay")
async def replay(call: Call) -> web.StreamResponse:
    """Send a message again."""
    name = call.path("name")
    await call.services.store.replay(name, call.path("id"), time.time(), by=call.principal)
    return go(call, f"webhooks/{name}", done="replayed")


@Route(
    "POST",
    "/webhooks/{name}/rotate-secret",
    ADMIN,
    page=True,
    body=SecretRotation,
    action="webhook.rotate_secret",
)
async def rotate_secret(call: Call) -> web.StreamResponse:
    """Give a webhook a new secret, and show it: this once, and nowhere else."""
    until = time.time() + call.form(SecretRotation).grace
    key, name = call.services.signing_key.id, call.path("name")
    rotated = await call.services.store.rotate_webhook_secret(name, key, until, by=call.principal)
    return _secret(
        call,
        rotated,
        f"The new secret of the webhook {name}",
        "Give it to the receiver. Until the former one ends, messages are signed with both.",
    )


@Route("POST", "/webhooks/{name}/delete", ADMIN, page=True, action="webhook.delete")
async def delete(call: Call) -> web.StreamResponse:
    """Delete a webhook; what waits is not sent any more."""
    await call.services.store.delete_webhook(call.path("name"), by=call.principal)
    return go(call, "webhooks", done="deleted")


async def _view(call: Call, hook: Webhook) -> WebhookView:
    services = call.services
    return await webhook_view(services.store, hook, services.signing_key.id, time.time())


def _secret(call: Call, hook: Webhook, title: str, lead: str) -> web.Response:
    return render(
        call,
        "secret.html",
        here="webhooks",
        title=title,
        what="secret",
        kept="Nobody can read it again: copy it now. Whoever has it can sign messages.",
        lead=lead,
        secret=call.services.signing_key.secret(hook.id, hook.generation),
        steps=[("on your machine: send a test", f"remotectl webhook test {hook.name}")],
        back=(f"webhooks/{hook.name}", f"Go to {hook.name}"),
    )


def _choices() -> dict[str, Any]:
    """What the form offers."""
    return {"events": EVENTS, "states": _ENDED, "end_reasons": [str(one) for one in EndReason]}


def _given(call: Call) -> dict[str, Any]:
    """The form as it came, with all that was ticked."""
    return call.given_form | {name: call.given_list(name) for name in _LISTS}


def _faults(problem: ApiProblem) -> dict[str, str]:
    """What is wrong, by field: of a list, not by place."""
    if not problem.errors:
        raise problem
    found: dict[str, str] = {}
    for name, said in as_faults(problem).items():
        found.setdefault(name.partition(".")[0], said)
    return found
