"""What claims say of a person, and which role they give."""

from __future__ import annotations

from typing import Any

import pytest

from remote_protocol.ids import Role
from remote_server.oidc.claims import person, require_for_us, role_of, subject_of
from remote_server.oidc.faults import ProviderFault, SignInRefused
from remote_server.oidc_settings import OidcPart

CLAIMS = {"iss": "https://id.example", "sub": "4711", "preferred_username": "alice"}
GOOD = {"aud": "us", "nonce": "n", "iat": 1000.0}


def settings(**more: Any) -> OidcPart:
    usual = {"viewer_groups": ["all"], "operator_groups": ["ops"], "admin_groups": ["root", "su"]}
    return OidcPart.model_validate({**usual, **more})


@pytest.mark.parametrize(
    ("groups", "role"),
    [
        ((), None),
        (("other", "OPS"), None),
        (("all",), Role.VIEWER),
        (("ops", "all"), Role.OPERATOR),
        (("all", "ops", "su"), Role.ADMIN),
        (("*",), None),
    ],
)
def test_the_highest_role_of_all_groups_holds(groups: tuple[str, ...], role: Role | None) -> None:
    assert role_of(groups, settings()) is role


def test_everybody_may_be_viewers() -> None:
    everybody = settings(viewer_groups=["*"])
    assert role_of((), everybody) is Role.VIEWER
    assert role_of(("ops",), everybody) is Role.OPERATOR
    assert person(CLAIMS, everybody).role is Role.VIEWER


@pytest.mark.parametrize(
    ("claims", "more", "role"),
    [
        ({"groups": ["ops"]}, {}, Role.OPERATOR),
        ({"groups": "ops"}, {}, Role.OPERATOR),
        ({"realm_access": {"roles": ["su"]}}, {"groups_claim": "realm_access.roles"}, Role.ADMIN),
        ({"https://x.y/groups": ["su"]}, {"groups_claim": "https://x.y/groups"}, Role.ADMIN),
        ({"groups": [{"ops": 1}, 7, None]}, {}, None),
        ({"groups": {"ops": True}}, {}, None),
        ({"hd": "x.org"}, {"groups_claim": "hd", "viewer_groups": ["x.org"]}, Role.VIEWER),
    ],
)
def test_groups_are_where_the_settings_say(
    claims: dict[str, Any], more: dict[str, Any], role: Role | None
) -> None:
    assert person({**CLAIMS, **claims}, settings(**more)).role is role


def test_an_address_gives_a_role_once_it_is_verified() -> None:
    by_address = settings(groups_claim="email", admin_groups=["a@x.org"], viewer_groups=["*"])
    claims = {**CLAIMS, "email": "a@x.org"}
    assert person({**claims, "email_verified": True}, by_address).role is Role.ADMIN
    for unsure in ({}, {"email_verified": False}, {"email_verified": "true"}):
        assert person({**claims, **unsure}, by_address).role is Role.VIEWER
    strict = settings(groups_claim="email", admin_groups=["a@x.org"])
    assert "has not verified" in person(claims, strict).why


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"groups": ["a", "b"]}, "alice is in the groups a, b, none of which gives a role here"),
        ({"groups": []}, "alice is in no group with a role here"),
        ({}, "says nothing of your groups (the claim 'groups'): have it put them into ID tokens"),
        ({"groups": ["x" * 500] * 500}, "x, …, none of which"),
    ],
)
def test_who_gets_no_role_is_told_why(claims: dict[str, Any], said: str) -> None:
    found = person({**CLAIMS, **claims}, settings())
    assert found.role is None and said in found.why and len(found.why) < 2000


@pytest.mark.parametrize("left_out", [{"_claim_names": {"groups": "src1"}}, {"hasgroups": "true"}])
def test_too_many_groups_for_a_token_are_told(left_out: dict[str, Any]) -> None:
    with pytest.raises(ProviderFault, match="too many groups; use application roles"):
        person({**CLAIMS, **left_out}, settings(viewer_groups=["*"]))


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({}, "oidc:alice"),
        ({"preferred_username": None, "email": "a@x.org"}, "oidc:a@x.org"),
        ({"preferred_username": ""}, "oidc:4711"),
        ({"preferred_username": "a\nb\u202ec d"}, "oidc:a_b_c_d"),
        ({"preferred_username": ["x"]}, "oidc:4711"),
        ({"preferred_username": "x" * 10_000}, "oidc:" + "x" * 256),
    ],
)
def test_a_person_is_called_by_a_claim(claims: dict[str, Any], name: str) -> None:
    assert person({**CLAIMS, **claims}, settings()).name == name


def test_a_person_is_the_same_whatever_they_are_called() -> None:
    one = person(CLAIMS, settings())
    assert person({**CLAIMS, "preferred_username": "bob"}, settings()).subject == one.subject
    assert person({**CLAIMS, "sub": "1"}, settings()).subject != one.subject
    assert person({**CLAIMS, "iss": "https://b"}, settings()).subject != one.subject
    assert subject_of("a", "bc") != subject_of("ab", "c")


@pytest.mark.parametrize("subject", [None, "", 7, "x" * 257])
def test_a_person_needs_a_subject(subject: object) -> None:
    with pytest.raises(ProviderFault, match="no usable claim sub"):
        person({**CLAIMS, "sub": subject}, settings())


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"aud": ["us", "others"]}, "other programs"),
        ({"aud": ["us", "others"], "azp": "others"}, "other programs"),
    ],
)
def test_a_token_for_others_is_none(claims: dict[str, Any], said: str) -> None:
    with pytest.raises(SignInRefused, match=said):
        require_for_us({**GOOD, **claims}, "us", "n", 1000.0, 60.0)


def test_a_token_for_us_is_one() -> None:
    require_for_us(GOOD, "us", "n", 1000.0, 60.0)
    require_for_us({**GOOD, "aud": ["us", "b"], "azp": "us"}, "us", "n", 1180.0, 60.0)


@pytest.mark.parametrize("now", [1000.0 - 181, 1000.0 + 181])
def test_clocks_that_differ_are_named_with_how_much(now: float) -> None:
    with pytest.raises(ProviderFault, match=r"differ by 181 s; set this host's clock \(NTP\)"):
        require_for_us(GOOD, "us", "n", now, 60.0)
