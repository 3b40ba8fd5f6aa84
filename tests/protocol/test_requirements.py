"""Requirements as jobs may have them: one way of writing each, and no source but the index."""

from __future__ import annotations

import time

import pytest

from remote_protocol.limits import MAX_REQUIREMENTS, MAX_REQUIREMENTS_SIZE
from remote_protocol.requirements import canonical, check_requirements, normalised

HASH = f"--hash=sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("Requests == 2.32.3", "requests==2.32.3"),
        ("zope.interface[ b , A ]>=1,<2", "zope-interface[a,b]<2,>=1"),
        ("x (>=1)", "x>=1"),
        ("numpy", "numpy"),
        ("a==1.*", "a==1.*"),
        ("a ;  python_version > '3.8'", "a ; python_version > '3.8'"),
        (f"a==1 {HASH}  {HASH}", f"a==1 {HASH}"),
    ],
)
def test_each_has_one_way_of_writing(given: str, meant: str) -> None:
    assert normalised(given) == meant == normalised(meant)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("-e .", "is an option"),
        ("--index-url https://evil.example", "is an option"),
        ("-r other.txt", "is an option"),
        ("a --config-settings=x", "an option other than --hash"),
        ("a==1 --hash=md5:0", "an option other than --hash"),
        ("a ; python_version > '3' -e", "an option in its marker"),
        ("a @ file:///etc/passwd", "names a URL or a file"),
        ("git+https://example.com/x", "names a URL or a file"),
        ("./local", "names a URL or a file"),
        ("${HOME}", "is no requirement"),
        ("a b", "is no requirement"),
        ("", "is no requirement"),
        ("a==1\n-e .", "is one line"),
        ("a" * 1001, "longer than 1000"),
        ("a" * 70_000, "at most 64 KiB"),
    ],
)
def test_what_names_another_source_is_refused(given: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        normalised(given)


def test_the_worst_take_no_time() -> None:
    began = time.process_time()
    for given in ("a" + " " * 60_000 + "@", "a==1" + ",==1" * 200 + "!@", "a[" + "," * 900 + "!"):
        with pytest.raises(ValueError, match=r"is no requirement|names a URL"):
            normalised(given)
    assert time.process_time() - began < 1.0


def test_they_are_bounded_together() -> None:
    assert check_requirements(["a"] * MAX_REQUIREMENTS) and check_requirements("x") == "x"
    with pytest.raises(ValueError, match="at most 2000 requirements"):
        check_requirements(["a"] * (MAX_REQUIREMENTS + 1))
    with pytest.raises(ValueError, match="at most 512 KiB together"):
        check_requirements(["a" * (MAX_REQUIREMENTS_SIZE // 2 + 1)] * 2)


def test_names_are_compared_as_indexes_do() -> None:
    assert canonical("Zope.__Interface") == "zope-interface"
