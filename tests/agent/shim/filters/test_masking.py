"""Secrets never reach the log, however reads cut them; everything else does, byte by byte."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from remote_agent.processes import SpawnFailed
from remote_agent.shim.filters.encodings import forms
from remote_agent.shim.filters.mask_file import MOST_VALUES
from remote_agent.shim.filters.masking import MAX_LINES, STARS, MaskFilters, MaskStream
from remote_agent.shim.filters.matcher import _ENOUGH, Matcher
from remote_agent.shim.order import Order
from remote_protocol import cri
from remote_protocol.cri import STDERR, STDOUT
from tests.support.shim_harness import Gate, Run, ShimHarness, gone, read_log

ORDER = Order("J.1", ["x"], {}, "/", filter="mask")

# Values over few letters overlap, repeat and contain each other.
SHORT = st.text("ab", min_size=4, max_size=8)
ANY = st.text(st.characters(codec="utf-8", exclude_characters="*\0"), min_size=4, max_size=30)
VALUES = st.lists(SHORT | ANY, min_size=1, max_size=4)
ENCODERS = [
    str.encode,
    lambda value: b64encode(value.encode()),
    lambda value: json.dumps(value).encode(),
    lambda value: quote_plus(value).encode(),
    lambda value: value.encode().hex().encode(),
]


@st.composite
def outputs(draw: st.DrawFn, values: list[str]) -> bytes:
    """Output with some of the values in it, whole or cut, in some form."""
    parts = []
    for _ in range(draw(st.integers(0, 6))):
        encoded = draw(st.sampled_from(ENCODERS))(draw(st.sampled_from(values)))
        cut = draw(st.integers(0, 3))
        parts += [encoded[cut:], draw(st.sampled_from([b"", b"a", b"ab", b"\n", b" "]))]
    return b"".join(parts) + draw(st.binary(max_size=10))


def masked(matcher: Matcher, data: bytes) -> bytes:
    """What is left of `data`, by a search for every form at every place: slow and plain."""
    patterns = sorted(matcher._known)
    spans = sorted(
        (start, start + len(pattern))
        for pattern in patterns
        for start in range(len(data))
        if data.startswith(pattern, start)
    )
    out, at, stars = b"", 0, -1
    for start, end in spans:
        if start > stars:
            out += data[at:start] + STARS
        stars = at = max(stars, end)
    return out + data[at:]


def feed(stream: MaskStream, data: bytes, cuts: list[int]) -> bytes:
    """What comes out of a stream to which `data` comes in these pieces."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges) if a < b]
    return b"".join(map(stream.feed, pieces)) + stream.flush()


def given_values(values: list[str], searched: bool = False) -> Matcher:
    """One for these values; `searched`: it has already searched much for the first of them."""
    matcher = Matcher()
    for value in values:
        matcher.add(forms(value.encode()))
        if searched:
            matcher.spans(b"." * _ENOUGH)
            searched = False
    return matcher


@given(VALUES, st.booleans(), st.data(), st.lists(st.integers(0, 500), max_size=12))
@example(["aaaa", "aaaaaaab"], False, None, [1, 5, 6])
@example(["aaaa", "aaaaaaab"], True, None, [1, 5, 6])
@settings(max_examples=400, deadline=None)
def test_what_comes_out_is_the_masked_whole_however_it_is_cut(
    values: list[str], searched: bool, data: Any, cuts: list[int]
) -> None:
    output = b"xaaaaaaaaab" if data is None else data.draw(outputs(values))
    matcher = given_values(values, searched)
    out = feed(MaskStream(matcher), output, cuts)
    assert out == masked(matcher, output)
    for part in out.split(STARS):
        # The stars themselves may stand for less than a whole form: what is between them does not.
        assert not matcher.spans(part)


@given(VALUES, st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=12))
@settings(max_examples=200, deadline=None)
def test_output_without_secrets_is_unchanged(
    values: list[str], output: bytes, cuts: list[int]
) -> None:
    matcher = given_values(values)
    assume(not matcher.spans(output))
    assert feed(MaskStream(matcher), output, cuts) == output


def test_only_what_may_be_the_beginning_of_a_secret_is_held_back() -> None:
    stream = MaskStream(given_values(["hunter22"]))
    assert stream.feed(b"Password: ") == b"Password: "
    assert stream.feed(b"hunt") == b""
    assert stream.feed(b"ing") == b"hunting"
    assert stream.feed(b" hunter") == b" "
    assert stream.feed(b"22") == STARS
    assert stream.feed(b"!\nhunter2") == b"!\n"
    assert stream.flush() == b"hunter2"


def test_stars_stand_once_for_what_overlaps() -> None:
    values = ["abcdef", "defghi", "cde!"]
    assert feed(MaskStream(given_values(values)), b"<abcdefghi>", list(range(11))) == b"<***>"
    assert feed(MaskStream(given_values(values)), b"<abcdefabcdef->", [7]) == b"<***->"
    longer = ["token", "token-of-mine"]
    assert feed(MaskStream(given_values(longer)), b"token-of-mine token-of-yours", [8, 20]) == (
        b"*** ***-of-yours"
    )


# The filters of an attempt ------------------------------------------------------------------------


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    """Makes opened filters, with a mask file at `tmp_path / "mask"`."""
    made: list[MaskFilters] = []
    os.mkfifo(tmp_path / "mask")

    def make(**secrets: str) -> MaskFilters:
        order = ORDER._replace(mask_file=str(tmp_path / "mask"))
        made.append(MaskFilters(order, secrets))
        made[-1].open()
        return made[-1]

    yield make
    for filters in made:
        filters.close()


def test_a_secret_that_is_too_short_is_named_and_not_shown(opened: Any) -> None:
    filters = opened(PIN="12q", FLAG="True", TOKEN="hunter22", EMPTY="")
    assert filters.notes == [
        "the log shows the value of PIN, FLAG: fewer than 4 bytes, and words like true, are not "
        "masked"
    ]
    assert filters.feed(b"12q True hunter22\n", STDOUT) == b"12q True ***\n"


def test_what_the_job_names_is_masked_from_then_on_in_both_streams(
    opened: Any, tmp_path: Path
) -> None:
    filters = opened()
    assert filters.feed(b"swordfish\n", STDOUT) == b"swordfish\n"
    with (tmp_path / "mask").open("ab", buffering=0) as file:
        file.write(b"swordfish\nabc\n\nxy\n  opensesame\r\n")
        assert filters.feed(b"swordfish opensesame\n", STDERR) == b"*** ***\n"
        file.write(b"no-newline-yet")
        assert filters.feed(b"no-newline-yet\n", STDOUT) == b"***\n"
    assert filters.notes == [
        "the log shows a value given to REMOTE_MASK: fewer than 4 bytes, and words like true, are "
        "not masked"
    ]
    assert not filters.fault and filters.flush(STDOUT) == b""


def test_a_value_that_is_named_while_its_beginning_is_held_is_masked(
    opened: Any, tmp_path: Path
) -> None:
    filters = opened(TOKEN="swordsman")
    assert filters.feed(b"swords", STDOUT) == b""
    (tmp_path / "mask").write_bytes(b"swordship\n")
    assert filters.feed(b"hip\n", STDOUT) == b"***\n"


def test_too_many_values_end_it_and_nothing_comes_out_any_more(opened: Any, tmp_path: Path) -> None:
    filters = opened(TOKEN="hunter22")
    (tmp_path / "mask").write_bytes(b"v\n" * (MOST_VALUES + 1))
    assert filters.feed(b"anything", STDOUT) == b""
    assert "gave REMOTE_MASK more than 1,000 values" in filters.fault
    assert filters.feed(b"anything", STDERR) == filters.flush(STDOUT) == b""


def test_a_job_does_not_start_when_its_log_could_not_be_masked(tmp_path: Path) -> None:
    secrets = {"KEYS": "some-line\n" * (MAX_LINES + 1)}
    with pytest.raises(SpawnFailed, match=r"5,001 lines together; at most 5,000") as failed:
        MaskFilters(ORDER, secrets).open()
    assert failed.value.exit_code == 126
    plain = tmp_path / "mask"
    plain.touch()
    for path in (plain, tmp_path / "none"):
        with pytest.raises(SpawnFailed, match="the file for values to be masked cannot be opened"):
            MaskFilters(ORDER._replace(mask_file=str(path)), {}).open()


# Real jobs ----------------------------------------------------------------------------------------


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ShimHarness]:
    harness = ShimHarness(tmp_path / "state")
    harness.shims.start(2)
    try:
        yield harness
    finally:
        harness.close()


def start(
    harness: ShimHarness, script: str, secrets: dict[str, str] | None = None, **fields: Any
) -> Path:
    """A shell's script as a job whose output is masked, with a mask file."""
    given = secrets or {}
    directory = harness.make(["sh", "-c", script], filter="mask", secrets=[*given], **fields)
    path = directory / "mask"
    os.mkfifo(path, 0o600)
    order = json.loads((directory / "attempt.jsonl").read_bytes().splitlines()[0])
    order["mask_file"] = order["env"]["REMOTE_MASK"] = str(path)
    (directory / "attempt.jsonl").write_text(json.dumps(order) + "\n{}\n")
    harness.shims.request(directory, given if given else None)
    return directory


@pytest.mark.parametrize("merge", [False, True])
def test_no_form_of_a_secret_is_in_a_real_jobs_log(harness: ShimHarness, merge: bool) -> None:
    script = (
        'printf "begin %.5s" "$TOKEN"; sleep 0.1; printf "%s\\n" "${TOKEN#?????}"; '
        'printf "$TOKEN" | base64 >&2; printf "$TOKEN" | od -An -tx1 | tr -d " \\n"; '
        'printf "user:$TOKEN@host" | base64; printf "hunt"'
    )
    directory = start(harness, script, {"TOKEN": "hunter22-open"}, merge=merge)
    run = Run(directory, harness.ended(directory))
    assert run.code == 0
    log = run.stdout + run.stderr
    if not merge:
        assert run.stdout == b"begin ***\n***dXNlcjp***QGhvc3Q=\nhunt"
        assert run.stderr == b"***==\n"
    assert b"begin ***\n" in log
    for form in (b"hunter", b64encode(b"hunter")[:7], b"hunter".hex().encode()):
        assert form not in log
    assert run.stdout.endswith(b"hunt"), "what only looked like the beginning comes at the end"
    for entry in directory.iterdir():
        if entry.is_file():
            assert b"hunter22" not in entry.read_bytes(), entry


def test_what_a_job_names_before_it_writes_is_never_in_its_log(harness: ShimHarness) -> None:
    # Each value is named by one process and written by the next one, at once.
    script = (
        'for i in 1 2 3 4 5 6 7 8 9; do echo "value-$i$i$i$i" >> "$REMOTE_MASK"; '
        'echo "value-$i$i$i$i"; echo "value-$i$i$i$i" >&2; done'
    )
    directories = [start(harness, script) for _ in range(10)]
    for directory in directories:
        run = Run(directory, harness.ended(directory))
        assert (run.code, run.stdout, run.stderr) == (0, b"***\n" * 9, b"***\n" * 9)


def test_outputs_are_masked_as_the_log_is(harness: ShimHarness) -> None:
    script = (
        'echo swordfish >> "$REMOTE_MASK"; echo "a=$TOKEN" > ../outputs; '
        "echo b=swordfish >> ../outputs; echo c=plain >> ../outputs"
    )
    record = harness.ended(start(harness, script, {"TOKEN": "hunter22"}))
    assert record["outputs"] == {"a": "***", "b": "***", "c": "plain"}


def test_a_job_that_never_closes_its_mask_file_or_floods_it_is_ended(harness: ShimHarness) -> None:
    script = 'exec 9>> "$REMOTE_MASK"; echo begin; head -c 1000000000 /dev/zero >&9; echo survived'
    run = Run(directory := start(harness, script), harness.ended(directory))
    assert (run.code, run.reason) == (137, "signal")
    assert run.detail == (
        "the job gave REMOTE_MASK more than 256 KiB; what it wrote since cannot be masked and is "
        "not in its log; killed by SIGKILL"
    )
    assert b"survived" not in run.log


def test_a_value_without_output_blocks_nobody(harness: ShimHarness) -> None:
    script = 'head -c 200000 /dev/zero >> "$REMOTE_MASK"; echo done'
    run = Run(directory := start(harness, script), harness.ended(directory))
    assert (run.code, run.stdout) == (0, b"done\n")


def test_a_shim_whose_job_has_named_a_secret_is_not_used_again(
    harness: ShimHarness, tmp_path: Path
) -> None:
    gate = Gate(tmp_path / "go")
    directory = start(harness, f'echo xy >> "$REMOTE_MASK"; {gate.wait}')
    shim = harness.started(directory)["shim_pid"]
    gate.open()
    harness.ended(directory)
    gone(shim)
    gate.close()


def test_a_shim_whose_job_has_named_none_is_used_again(tmp_path: Path) -> None:
    harness = ShimHarness(tmp_path / "state")
    harness.shims.start(1)
    try:
        directory = start(harness, "echo $PPID")
        assert harness.ended(directory)["exit_code"] == 0
        assert int(cri.decode(read_log(directory), STDOUT)) == harness.keeper()
    finally:
        harness.close()


def test_short_values_are_told_in_the_timeline(harness: ShimHarness) -> None:
    script = 'echo abc >> "$REMOTE_MASK"; echo done'
    run = Run(directory := start(harness, script, {"PIN": "123"}), harness.ended(directory))
    told = [step["detail"] for step in run.record["steps"] if step["what"] == "masking"]
    assert [detail.partition(":")[0] for detail in told] == [
        "the log shows the value of PIN",
        "the log shows a value given to REMOTE_MASK",
    ]
