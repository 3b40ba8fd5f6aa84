"""Demands and policies survive being stored, and equal ones have equal texts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from remote_protocol.spec import JobSpec
from remote_protocol.states import EndReason
from remote_server.domain.demand import (
    MAX_BACKOFF,
    Policy,
    able_labels,
    demand_from,
    demand_of,
    demand_text,
    is_special,
    kind_of,
    label_words,
    labels_of,
    policy_from,
    policy_of,
    policy_text,
)

_LABEL = st.text("abc=ü'\" ", min_size=1, max_size=5).filter(lambda key: "=" not in key)
_VALUE = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=5)


def spec(**fields: Any) -> JobSpec:
    return JobSpec.model_validate({"command": ["true"], **fields})


@given(
    labels=st.dictionaries(_LABEL, _VALUE),
    weight=st.one_of(st.none(), st.floats(0.001, 1)),
    agent=st.sampled_from([None, "a1"]),
)
def test_a_demand_survives(labels: dict[str, str], weight: float | None, agent: str | None) -> None:
    demand = demand_of(spec(labels=labels, weight=weight, agent=agent))
    assert demand.agent == agent
    assert demand_from(demand_text(demand)) == demand
    mixed = demand_of(spec(labels=dict(reversed(labels.items())), weight=weight, agent=agent))
    assert demand_text(mixed) == demand_text(demand)


@given(
    reasons=st.lists(st.sampled_from(EndReason)),
    most=st.integers(2, 100),
    timeout=st.one_of(st.none(), st.floats(0.001, 1e6)),
    keep=st.sampled_from(["keep_first", "keep_replacement"]),
)
def test_a_policy_survives(
    reasons: list[EndReason], most: int, timeout: float | None, keep: str
) -> None:
    policy = policy_of(
        spec(
            retry_on=reasons,
            max_attempts=most,
            timeout=timeout,
            on_disconnect={"on_return": keep, "lost_after": 5},
        )
    )
    assert policy_from(policy_text(policy)) == policy
    assert (policy.max_attempts, policy.timeout) == (most, timeout)
    assert set(policy.retry_on) == set(reasons)
    assert policy.keep_first is (keep == "keep_first")
    assert policy.lost_after == 5


def test_backoff_doubles_up_to_a_bound() -> None:
    policy = Policy(retry_backoff=2.0)
    assert [policy.backoff(used) for used in (1, 2, 3)] == [2.0, 4.0, 8.0]
    assert policy.backoff(100) == MAX_BACKOFF
    assert Policy(retry_backoff=0.0).backoff(100) == 0.0


def test_the_defaults_are_those_of_a_specification() -> None:
    assert policy_of(spec()) == Policy()


def test_a_special_kind_stands_among_labels_and_is_none() -> None:
    demand = demand_of(spec(kind="container", image="x", command=[], labels={"a": "b"}))
    assert demand_from(demand_text(demand)) == demand
    assert labels_of(demand) == {"a": "b"}
    (key,) = [key for key, _ in demand.labels if kind_of(key) == "container"]
    assert label_words(key, "") == "kind container" and label_words("a", "b") == "a=b"
    with pytest.raises(ValidationError):
        spec(labels={key: ""})
    assert demand_of(spec()).labels == ()
    assert not is_special("python") and is_special("datahub")
    own = {"a": "b"}
    assert able_labels(own, []) is own
