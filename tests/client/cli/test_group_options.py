"""Options of a group of jobs, told from those of each job."""

from __future__ import annotations

from typing import Any

import pytest

from remote_client.cli.group_options import group_of, take_group_options
from remote_client.errors import UsageError


def options(**given: Any) -> dict[str, Any]:
    none = {"each": False, "max_parallel": None, "halt_on_failures": None, "online_only": False}
    return {**none, "agent": None, "name": "x", **given}


def test_a_single_job_keeps_its_own_options() -> None:
    given = options()
    assert take_group_options(given) is None
    assert given == {"agent": None, "name": "x"}


def test_options_of_a_group_are_taken_from_those_of_its_jobs() -> None:
    given = options(each=True, max_parallel=2)
    assert take_group_options(given) == {
        "max_parallel": 2, "halt_on_failures": None, "online_only": False
    }  # fmt: skip
    assert given == {"agent": None, "name": "x"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_parallel": 2}, "--max-parallel is for a group of jobs; add --each"),
        ({"online_only": True}, "--online-only is for a group"),
        ({"each": True, "agent": "a"}, "--each contradicts --agent"),
    ],
)
def test_what_contradicts_is_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as raised:
        take_group_options(options(**given))
    assert words in str(raised.value)


def test_the_labels_choose_the_agents() -> None:
    spec = {"command": ["true"], "labels": {"role": "web"}}
    chosen = {"max_parallel": 2, "halt_on_failures": None, "online_only": True}
    assert group_of(spec, chosen) == {
        "spec": {"command": ["true"]},
        "select": {"labels": {"role": "web"}, "online_only": True},
        "max_parallel": 2,
    }
    assert spec["labels"] == {"role": "web"}
