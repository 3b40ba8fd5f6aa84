"""Which names secrets have, which a job may name together, and how much is given."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from remote_protocol.limits import MAX_SECRETS, MAX_SECRETS_SIZE
from remote_protocol.secret_names import (
    SecretNames,
    check_secret_name,
    check_secret_values,
    check_secrets,
    secrets_size,
)


@pytest.mark.parametrize("name", ["A", "_", "DB_PASSWORD", "a9", "x" * 128])
def test_names_of_variables(name: str) -> None:
    assert check_secret_name(name) == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "is no name of a secret"),
        ("9A", "starts with no digit"),
        ("A-B", "letters, digits and _"),
        ("A.B", "letters, digits and _"),
        ("A\n", "letters, digits and _"),
        ("../A", "letters, digits and _"),
        ("x" * 129, "1 to 128"),
        ("REMOTE_MASK", "the agent's own"),
    ],
)
def test_what_is_none(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_secret_name(name)


def test_too_many_are_one_fault() -> None:
    with pytest.raises(ValidationError, match="at most 64 secrets, not 1000000") as caught:
        TypeAdapter(SecretNames).validate_python(["1"] * 1_000_000)
    assert caught.value.error_count() == 1


@pytest.mark.parametrize(
    ("names", "files", "env", "words"),
    [
        (["A", "B", "A"], [], {}, "secrets names A twice"),
        (["A"], ["A", "A"], {}, "secret_files names A twice"),
        (["A"], ["B"], {}, "secret_files names B, which is not in secrets"),
        (["A"], [], {"A": ""}, "A is in env and in secrets"),
        (["A"], ["A"], {"A_FILE": ""}, "A_FILE gets the path"),
        (["A", "A_FILE"], ["A"], {}, "A_FILE gets the path"),
    ],
)
def test_what_contradicts_itself(
    names: list[str], files: list[str], env: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        check_secrets(names, files, env)


def test_what_goes_together() -> None:
    check_secrets(["A", "B", "B_FILE"], ["A"], {"URL": "x", "C_FILE": "y"})


def test_all_of_them_are_bounded_and_never_shown() -> None:
    assert secrets_size({"A": "ä"}) == 3
    fits = {"A": "s" * (MAX_SECRETS_SIZE - 1)}
    check_secret_values(fits)
    with pytest.raises(ValueError, match="at most 1 MiB can be given") as caught:
        check_secret_values(fits | {"B": ""})
    assert "sss" not in str(caught.value)
    with pytest.raises(ValueError, match=f"at most {MAX_SECRETS} secrets"):
        check_secret_values({f"A{number}": "" for number in range(MAX_SECRETS + 1)})
