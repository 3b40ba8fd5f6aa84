"""Tokens of people and programs, of agents, and those with which agents enrol."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlencode

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from remote_protocol.api.tokens import RegistrationTokenCreate, TokenCreate
from remote_protocol.ids import Name, Role
from remote_protocol.limits import MAX_USES
from remote_protocol.quantities import Span
from remote_server.domain.allowed_actions import on_token
from remote_server.domain.enrolment import ANY
from remote_server.domain.model import Token
from remote_server.errors import UnknownQueue
from remote_server.web.access import ADMIN
from remote_server.web.actions.tokens import (
    REGISTRATION,
    create_registration_token,
    create_token,
    revoke_token,
)
from remote_server.web.http.problems import ApiProblem, from_validation
from remote_server.web.pages.commands import enrol, keep_token, server_url, use_api_token
from remote_server.web.pages.given import GivenLabels, GivenQueues
from remote_server.web.pages.rendering import PageShown, as_faults, go, render
from remote_server.web.route import Call, PageForm, Route

SHOWN: Final = 50
SOON: Final = 14 * 86400.0
"""Seconds before its end from which on a token is pointed out."""
_UNPROCESSABLE: Final = 422
M = TypeVar("M", bound=BaseModel)
_NEVER: Final = ("never", "unlimited")


def _endless(value: object) -> object:
    return None if value in _NEVER else value


class TokensQuery(PageShown):
    """Which tokens the list shows."""

    kind: Literal["api", "agent", "registration"] = "api"
    revoked: Literal["", "yes"] = ""
    cursor: str = Field(default="", max_length=64)
    new: Literal["", "yes"] = ""

    def address(self, **changed: str) -> str:
        """The query of another view of the list; without the place in it."""
        now = {"kind": self.kind, "revoked": self.revoked} | changed
        return urlencode({name: value for name, value in now.items() if value})


class ApiTokenForm(PageForm):
    """The form that makes an API token."""

    name: Name
    role: Role = Role.VIEWER
    queues: GivenQueues = Field(default=[])
    expires: Annotated[Span | None, BeforeValidator(_endless)] = None


class AgentTokenForm(PageForm):
    """The form that makes the token of one agent to come."""

    agent: Name
    queues: GivenQueues = Field(default=[])
    any_queue: bool = False
    labels: GivenLabels = Field(default={})
    expires: Annotated[Span | None, BeforeValidator(_endless)] = None


class RegistrationForm(PageForm):
    """The form that makes a registration token."""

    queues: GivenQueues = Field(default=[])
    any_queue: bool = False
    labels: GivenLabels = Field(default={})
    allow_replace: bool = False
    uses: Annotated[Annotated[int, Field(ge=1, le=MAX_USES)] | None, BeforeValidator(_endless)] = 1
    expires: Annotated[Span | None, BeforeValidator(_endless)] = 3600.0


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token as the list draws it."""

    token: Token
    now: float
    own: bool
    """It is the one with which whoever looks has signed in."""

    @property
    def state(self) -> str:
        """`revoked`, `expired`, `used`, `soon` (it expires soon) or `valid`."""
        token = self.token
        if token.revoked:
            return "revoked"
        if token.expires_at is not None and token.expires_at <= self.now:
            return "expired"
        if token.uses_left == 0:
            return "used"
        left = None if token.expires_at is None else token.expires_at - self.now
        lasts = 0.0 if token.expires_at is None else token.expires_at - token.created_at
        return "soon" if left is not None and left <= SOON < lasts else "valid"

    @property
    def allowed_actions(self) -> list[str]:
        """What can be done with it; only admins see the list."""
        return on_token(Role.ADMIN, self.own, self.token.revoked)

    @property
    def left(self) -> float | None:
        """Seconds until it expires; None: never."""
        return None if self.token.expires_at is None else self.token.expires_at - self.now

    @property
    def any_queue(self) -> bool:
        """Whether it covers every queue."""
        return ANY in self.token.queues


@Route("GET", "/tokens", ADMIN, page=True, query=TokensQuery)
async def all_tokens(call: Call) -> web.StreamResponse:
    """The tokens of one kind, a page of them."""
    query = call.query(TokensQuery)
    return await _list(call, query)


async def _list(call: Call, query: TokensQuery, status: int = 200, **form: Any) -> web.Response:
    now, own = time.time(), call.token.id
    tokens = await call.services.store.newest_tokens(
        query.kind, SHOWN + 1, query.cursor or None, revoked=bool(query.revoked)
    )
    shown = tokens[:SHOWN]
    values: dict[str, Any] = {"given": {}, "faults": {}, **form}
    return render(
        call,
        "tokens.html",
        status=status,
        query=query,
        rows=[TokenRow(token, now, token.id == own) for token in shown],
        following=shown[-1].id if len(tokens) > SHOWN else "",
        roles=[role.value for role in Role],
        address=query.address,
        **values,
    )


async def _refused(call: Call, kind: str, problem: ApiProblem) -> web.Response:
    if not problem.errors:
        raise problem
    query = TokensQuery.model_validate({"kind": kind})
    # What is wrong with the form as a whole is about its queues.
    faults = {name or "queues": said for name, said in as_faults(problem).items()}
    return await _list(call, query, problem.status, given=call.given_form, faults=faults)


async def _unknown_queue(call: Call, kind: str, error: UnknownQueue) -> web.Response:
    query = TokensQuery.model_validate({"kind": kind})
    faults = {"queues": str(error)}
    return await _list(call, query, _UNPROCESSABLE, given=call.given_form, faults=faults)


@Route("POST", "/tokens/api", ADMIN, page=True, body=ApiTokenForm, action="token.create")
async def create_api(call: Call) -> web.StreamResponse:
    """Make an API token, and show it: this once, and nowhere else."""
    try:
        form = call.form(ApiTokenForm)
        wanted = _body(TokenCreate, form.model_dump())
        token, text = await create_token(call, wanted)
    except ApiProblem as problem:
        return await _refused(call, "api", problem)
    except UnknownQueue as error:
        return await _unknown_queue(call, "api", error)
    url = server_url(call.request)
    where = f" in {', '.join(token.queues)}" if token.limited else ""
    return _secret(
        call,
        f"The new API token {token.name}",
        f"It may do what the role {token.role} may{where}, on pages, in the API and with "
        "remotectl.",
        text,
        [("on the machine of whoever uses it", use_api_token(url, text))],
        "api",
    )


@Route("POST", "/tokens/agent", ADMIN, page=True, body=AgentTokenForm, action="token.create")
async def create_agent(call: Call) -> web.StreamResponse:
    """Make the token of one agent to come, and show it: this once, and nowhere else."""
    try:
        form = call.form(AgentTokenForm)
        wanted = _body(TokenCreate, {"name": form.agent, **form.model_dump()})
        _, text = await create_token(call, wanted)
    except ApiProblem as problem:
        return await _refused(call, "agent", problem)
    except UnknownQueue as error:
        return await _unknown_queue(call, "agent", error)
    return _enrolment(call, f"The new token of {form.agent}", text, "agent", form.agent)


@Route(
    "POST",
    "/tokens/registration",
    ADMIN,
    page=True,
    body=RegistrationForm,
    action="registration_token.create",
)
async def create_registration(call: Call) -> web.StreamResponse:
    """Make a registration token, and show it: this once, and nowhere else."""
    try:
        form = call.form(RegistrationForm)
        wanted = _body(RegistrationTokenCreate, form.model_dump())
        _, text = await create_registration_token(call, wanted)
    except ApiProblem as problem:
        return await _refused(call, REGISTRATION, problem)
    except UnknownQueue as error:
        return await _unknown_queue(call, REGISTRATION, error)
    return _enrolment(call, "The new registration token", text, REGISTRATION, "")


def _body(model: type[M], given: dict[str, Any]) -> M:
    """What the API takes for the same. ApiProblem."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise from_validation(error, depth=1) from None


def _enrolment(call: Call, title: str, text: str, kind: str, name: str) -> web.Response:
    return _secret(
        call,
        title,
        "Put it into a file on the host that is to enrol, and enrol:",
        text,
        [
            ("on the host behind the firewall", keep_token(text)),
            ("on the host behind the firewall", enrol(server_url(call.request), name)),
        ],
        kind,
    )


def _secret(
    call: Call, title: str, lead: str, text: str, steps: list[tuple[str, str]], kind: str
) -> web.Response:
    return render(
        call,
        "secret.html",
        here="tokens",
        title=title,
        lead=lead,
        secret=text,
        steps=steps,
        back=(f"tokens?kind={kind}", "Back to the tokens"),
    )


@Route("POST", "/tokens/{id}/revoke", ADMIN, page=True, action="token.revoke")
async def revoke(call: Call) -> web.StreamResponse:
    """Make a token useless."""
    token = await call.services.store.token(call.path("id"))
    await revoke_token(call, token.id, registration=token.kind == REGISTRATION)
    return go(call, f"tokens?kind={token.kind}", done="revoked")
