"""Lines are counted and put together from records, whatever the pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote_protocol import cri
from remote_server.logs.gap import ends_of_gap
from remote_server.web.logs.lines import Line, LineCounter, LineRange, Part, Place
from remote_server.web.logs.start import stamp

READS = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]),
        st.sampled_from(
            [b"a", b"b\n", b"\n", b"c\nd", b"e\nf\n", b"2026Z stdout P \n", b"Z stderr F x\n"]
        ),
    ),
    max_size=14,
)


def stored(reads: list[tuple[str, bytes]]) -> bytes:
    return b"".join(
        b"".join(cri.encode(data, stamp(number), stream.encode()))
        for number, (stream, data) in enumerate(reads)
    )


def wanted(reads: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """The lines, in the order in which they begin."""
    lines: list[list[object]] = []
    opened: dict[str, list[object]] = {}
    for stream, data in reads:
        for piece in data.splitlines(keepends=True):
            if stream not in opened:
                opened[stream] = [stream, b""]
                lines.append(opened[stream])
            line = opened[stream]
            line[1] += piece  # type: ignore[operator]
            if piece.endswith(b"\n"):
                del opened[stream]
    return [(str(stream), bytes(data)) for stream, data in lines]  # type: ignore[call-overload]


@given(READS, st.integers(0, 400))
def test_lines_are_what_each_stream_wrote_up_to_its_line_feed(
    reads: list[tuple[str, bytes]], cut: int
) -> None:
    data = stored(reads)
    cut = cri.complete(data[:cut])
    counter, lines = LineCounter(), dict[int, Line]()
    for piece in (data[:cut], data[cut:]):
        for part in counter.parts(piece):
            if part.begins:
                lines[part.number] = Line(part)
            else:
                lines[part.number].add(part)
    found = [
        (line.part.stream, str(line.shown()["x"]).encode() + (b"\n" if line.ends else b""))
        for _, line in sorted(lines.items())
    ]
    assert found == wanted(reads)
    assert counter.offset == len(data)
    assert counter.place.begun() == len(found)
    assert counter.place.begun("stderr") == sum(stream == "stderr" for stream, _ in found)


@given(READS)
def test_passing_over_counts_the_same(reads: list[tuple[str, bytes]]) -> None:
    data, quick, slow = stored(reads), LineCounter(), LineCounter()
    if quick.skip(data):
        list(slow.parts(data))
        assert quick.place == slow.place
    else:
        assert quick.place == Place()


def test_a_line_in_parts_is_not_passed_over() -> None:
    data = stored([("stdout", b"a")])
    assert not LineCounter().skip(data)
    assert not LineCounter(Place(60, 1, 0, 1, 0)).skip(stored([("stdout", b"a\n")]))
    assert not LineCounter().skip(b"\n" + stored([("stdout", b"a\n")]))


def test_of_a_long_line_head_and_tail_are_kept() -> None:
    line = Line(Part(1, 1, "stdout", b"t", b"head" + b"x" * 50_000, True, False))
    for number in range(3000):
        line.add(Part(1, 1, "stdout", b"t", b"\r%06d" % number, False, number == 2999))
    shown = line.shown()
    assert str(shown["x"]).startswith("headxxx") and str(shown["y"]).endswith("\r002999")
    assert "open" not in shown
    left = line.size - len(str(shown["x"])) - len(str(shown["y"]))
    assert shown["left"] == [left, 3000 - str(shown["y"]).count("\r")]


@pytest.mark.parametrize("missing", [10, 500, 9_000_000])
def test_what_is_missing_is_known(missing: int) -> None:
    before, after = stored([("stdout", b"a\nb\n")]), stored([("stdout", b"c\n")])
    first, last = ends_of_gap(missing, 0)
    zeros = bytes(missing - len(first) - len(last))
    counter = LineCounter()
    for piece in (before + first, zeros[: missing // 2], zeros[missing // 2 :] + last + after):
        list(counter.parts(piece))
    # The note is a line, too.
    noted = bool(first)
    assert counter.gaps == [(2 + noted, missing)]
    assert counter.place.begun() == 3 + noted
    assert counter.offset == len(before) + missing + len(after)


def test_a_job_cannot_invent_a_gap() -> None:
    counter = LineCounter()
    list(counter.parts(stored([("stderr", b"remote-server: 5 bytes of this log were lost\n")])))
    assert counter.gaps == []


@given(READS, st.integers(1, 6), st.integers(1, 6))
def test_a_range_is_the_jobs_bytes_in_its_lines(
    reads: list[tuple[str, bytes]], first: int, last: int
) -> None:
    lines = LineRange(Place(), first, last)
    found = lines.feed(stored(reads))
    chosen = wanted(reads)[first - 1 : last]
    assert len(found) == sum(len(data) for _, data in chosen)
    assert sorted(found) == sorted(b"".join(data for _, data in chosen))
    if not any(stream == "stderr" for stream, _ in reads):
        assert found == b"".join(data for _, data in chosen)


def test_a_range_of_one_stream() -> None:
    reads = [("stdout", b"1\n"), ("stderr", b"2\n"), ("stdout", b"3\n4\n")]
    lines = LineRange(Place(), 2, 3, "stdout")
    assert lines.feed(stored(reads)) == b"3\n"
    assert lines.over
