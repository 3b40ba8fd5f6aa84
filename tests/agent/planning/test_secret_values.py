"""Which place a secret comes from, what uses it, and the sentences when it is not to be had."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from remote_agent.planning.secret_values import (
    Absent,
    Place,
    SecretsMissing,
    Unusable,
    expand,
    plain_variables,
    resolve,
    secret_variables,
    uses_secret,
)
from remote_protocol.limits import MAX_COMMAND_SIZE, MAX_SECRETS_SIZE, MAX_TEXT
from remote_protocol.spec import CommandSpec


def spec(*names: str, **fields: object) -> CommandSpec:
    return CommandSpec.model_validate({"command": ["x"], "secrets": list(names), **fields})


def place(name: str, known: dict[str, str], why: str = "not there") -> Place:
    def look(wanted: str) -> str:
        if wanted not in known:
            raise Absent(why)
        if known[wanted] == "?":
            raise Unusable("is a directory")
        return known[wanted]

    return Place(name, look)


def test_the_first_place_that_has_it_counts() -> None:
    first, second = place("one", {"A": "1"}), place("two", {"A": "2", "B": "2"})
    assert resolve(spec("A", "B"), (first, second)) == {"A": "1", "B": "2"}


def test_what_cannot_be_used_is_no_reason_to_look_elsewhere() -> None:
    with pytest.raises(SecretsMissing, match=r"The secret A of one is a directory\.") as caught:
        resolve(spec("A"), (place("one", {"A": "?"}), place("two", {"A": "hush"})))
    assert "hush" not in str(caught.value)


def test_each_missing_secret_is_named_with_the_cause_in_each_place() -> None:
    places = (place("one", {"A": "1"}), place("two", {}, "it is for queue q"))
    with pytest.raises(SecretsMissing) as caught:
        resolve(spec("A", "B", "C"), places)
    assert str(caught.value) == (
        "There is no secret B; one: not there; two: it is for queue q. "
        "There is no secret C; one: not there; two: it is for queue q. "
        "Give it in one of these places (docs/secrets.md), or leave it out of the job's secrets."
    )


def test_a_place_that_names_itself_is_not_named_twice() -> None:
    places = (place("a file", {}), place("the server", {}, "the server has no secret 'A'"))
    with pytest.raises(SecretsMissing, match="A; a file: not there; the server has no secret 'A'"):
        resolve(spec("A"), places)


def test_a_long_list_still_fits_a_report() -> None:
    names = [f"S{number}" for number in range(64)]
    with pytest.raises(SecretsMissing, match="more of the job's 64 are missing") as caught:
        resolve(spec(*names), (place("one", {}, "x" * 100),))
    assert len(str(caught.value)) <= MAX_TEXT
    with pytest.raises(SecretsMissing, match="leave it out") as long:
        resolve(spec("A"), (place("one", {}, "x" * 3000),))
    assert len(str(long.value)) <= MAX_TEXT


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("postgres://u:${PW}@h/x", "postgres://u:p$s@h/x"),
        ("${PW}${PW}", "p$sp$s"),
        ("$${PW} ${PW}", "${PW} p$s"),
        ("$$${PW}", "$${PW}"),
        ("${OTHER} $PW ${} ${PW", "${OTHER} $PW ${} ${PW"),
        ("${PW:-x}", "${PW:-x}"),
        ("", ""),
    ],
)
def test_references_in_variables(value: str, wanted: str) -> None:
    assert expand(value, {"PW": "p$s"}) == wanted


def test_what_a_value_holds_is_not_looked_at_again() -> None:
    assert expand("${A}", {"A": "${B}", "B": "hush"}) == "${B}"


@pytest.mark.parametrize(
    ("value", "uses"), [("${A}", True), ("$${A}", False), ("${B}", False), ("$A", False)]
)
def test_what_uses_a_secret(value: str, uses: bool) -> None:
    assert uses_secret(value, ["A"]) is uses


def test_variables_with_secrets_are_no_part_of_what_is_written() -> None:
    job = spec(
        "PW", "KEY", secret_files=["KEY"], env={"URL": "x:${PW}", "B": "$${PW}", "C": "${D}"}
    )
    assert plain_variables(job) == {"B": "${PW}", "C": "${D}"}
    assert secret_variables(job) == ["PW", "URL"]
    values = resolve(job, (place("one", {"PW": "hush", "KEY": "k"}),))
    assert values == {"PW": "hush", "KEY": "k", "URL": "x:hush"}


def test_jobs_without_secrets_have_their_variables_as_they_are() -> None:
    job = spec(env={"A": "$${B} ${C}"})
    assert plain_variables(job) is job.env and secret_variables(job) == []


def test_what_no_variable_holds_is_refused_without_a_value() -> None:
    def refused(job: CommandSpec, **known: str) -> str:
        with pytest.raises(SecretsMissing) as caught:
            resolve(job, (place("one", known),))
        assert "hush" not in str(caught.value) and len(str(caught.value)) <= MAX_TEXT
        return str(caught.value)

    large = "hush" * (MAX_COMMAND_SIZE // 4)
    assert "secret A has a NUL character" in refused(spec("A"), A="hush\0")
    assert "take it as a file: --secret A:file" in refused(spec("A"), A=large)
    assert resolve(spec("A", secret_files=["A"]), (place("one", {"A": large}),)) == {"A": large}
    using = spec("A", secret_files=["A"], env={"B": "${A}"})
    assert "variable B would be longer than" in refused(using, A=large)
    huge = "hush" * (MAX_SECRETS_SIZE // 4)
    words = refused(spec("A", secret_files=["A"]), A=huge)
    assert "at most 1 MiB can be given" in words


def test_places_are_asked_one_by_one_and_only_as_far_as_needed() -> None:
    asked: list[str] = []

    def counting(name: str) -> Callable[[str], str]:
        def look(wanted: str) -> str:
            asked.append(f"{name} {wanted}")
            return "v"

        return look

    resolve(spec("A"), (Place("one", counting("one")), Place("two", counting("two"))))
    assert asked == ["one A"]
