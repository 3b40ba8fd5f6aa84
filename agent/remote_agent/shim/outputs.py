"""The job's outputs: what it has left in the file that `REMOTE_OUTPUTS` names. Reads that file.

The syntax is that of GITHUB_OUTPUT: `key=value`, or `key<<EOF`, lines, `EOF`. A later value of a
key replaces the former one. What cannot be understood is left out and said; it never fails a job.
What is said names lines, never what stands in them: that may be a secret.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from remote_agent.processes import READ, Folder, UnexpectedEntry
from remote_agent.shim.filters import Filters
from remote_agent.shim.layout import OUTPUTS
from remote_agent.shim.order import Order
from remote_agent.shim.record import read_bounded
from remote_protocol.limits import (
    MAX_OUTPUT_VALUE,
    MAX_OUTPUTS,
    MAX_OUTPUTS_SIZE,
    NO_OUTPUT,
    OUTPUT_KEY_PATTERN,
    OUTPUT_KEY_WORDS,
)
from remote_protocol.units import plain_size

FIELD: Final = "outputs"
WARNING: Final = "outputs_warning"
"""Fields of the exit record; without outputs there is neither."""
_KEY: Final = re.compile(OUTPUT_KEY_PATTERN)
_NO_TEXT: Final = re.compile(f"[{NO_OUTPUT}]")
_REPLACED: Final = "\ufffd"
_MOST_TOLD: Final = 5


def read_outputs(directory: Folder, order: Order, filters: Filters | None) -> dict[str, Any]:
    """What the exit record says about the outputs of the job, which has ended. The filter of its
    log is applied to them as well."""
    try:
        data = _read(directory, order.home)
    except FileNotFoundError:
        return {}
    except OSError as error:
        why = error.strerror or type(error).__name__
        return {WARNING: f"REMOTE_OUTPUTS was not read: {why}; it has to be a plain file"}
    problems: list[str] = []
    if len(data) > MAX_OUTPUTS_SIZE:
        problems.append(f"it has more than {plain_size(MAX_OUTPUTS_SIZE)}, the rest was left out")
        data = data[:MAX_OUTPUTS_SIZE].rpartition(b"\n")[0]
    data = _as_utf8(data)
    if filters is not None:
        # Before anything is replaced: what is looked for must be there as the job wrote it.
        data = filters.whole(data)
    outputs = parse(data, problems)
    return {FIELD: outputs, WARNING: _sentence(problems)} if outputs or problems else {}


def without_outputs(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a job has given without its outputs, so that its exit record is short enough for a
    datagram."""
    if not given.get(FIELD):
        return given
    return {**given, FIELD: {}, WARNING: "the outputs were dropped: the disk of the host is full"}


def _read(directory: Folder, home: str | None) -> bytes:
    """The file, and a byte more than it may have; OSError, also when it is no plain file."""
    if home is None:
        descriptor = directory.open(OUTPUTS, READ)
    else:
        with Folder(home) as folder:
            descriptor = folder.open(OUTPUTS, READ)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnexpectedEntry(OUTPUTS, "it is no file")
    return read_bounded(descriptor, MAX_OUTPUTS_SIZE)


def _as_utf8(data: bytes) -> bytes:
    """Without a byte order mark; Windows PowerShell's `>>` writes UTF-16."""
    for mark, name in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if data.startswith(mark):
            return data[len(mark) :].decode(name, "replace").encode()
    return data.removeprefix(codecs.BOM_UTF8)


def parse(data: bytes, problems: list[str]) -> dict[str, str]:
    """The outputs in a file's content, in the order of their keys; what is wrong is added to
    `problems`, in words."""
    text = data.decode(errors="replace")
    clean = _NO_TEXT.sub(_REPLACED, text)
    if _REPLACED in clean:
        problems.append("what is no text in UTF-8 was replaced")
    outputs: dict[str, str] = {}
    size = 0
    for number, key, value in _pairs(clean, problems):
        former = len(key) + len(outputs[key].encode()) if key in outputs else 0
        length = len(value.encode())
        if not _KEY.fullmatch(key):
            problems.append(f"the key in line {number} is not {OUTPUT_KEY_WORDS}")
        elif length > MAX_OUTPUT_VALUE:
            problems.append(f"the value in line {number} has more than {_LARGEST_VALUE}")
        elif not former and len(outputs) == MAX_OUTPUTS:
            problems.append(f"the key in line {number} is one too many: {MAX_OUTPUTS} are allowed")
        elif size - former + len(key) + length > MAX_OUTPUTS_SIZE:
            problems.append(f"with line {number} it is more than {plain_size(MAX_OUTPUTS_SIZE)}")
        else:
            outputs[key] = value
            size += len(key) + length - former
    return outputs


_LARGEST_VALUE: Final = plain_size(MAX_OUTPUT_VALUE)


def _pairs(text: str, problems: list[str]) -> Iterator[tuple[int, str, str]]:
    """Keys and values as they were written, each with the number of its first line."""
    lines = iter(enumerate((line.removesuffix("\r") for line in text.split("\n")), start=1))
    for number, line in lines:
        if not line:
            continue
        equals, heredoc = line.find("="), line.find("<<")
        if equals >= 0 and not 0 <= heredoc < equals:
            yield number, line[:equals], line[equals + 1 :]
        elif heredoc >= 0 and (mark := line[heredoc + 2 :]):
            value = _until(mark, lines)
            if value is None:
                problems.append(f"the value that begins in line {number} has no end")
            else:
                yield number, line[:heredoc], value
        else:
            problems.append(f"line {number} is neither key=value nor key<<EOF")


def _until(mark: str, lines: Iterable[tuple[int, str]]) -> str | None:
    """The lines before the one that is `mark`; None when there is none."""
    found: list[str] = []
    for _, line in lines:
        if line == mark:
            return "\n".join(found)
        found.append(line)
    return None


def _sentence(problems: list[str]) -> str:
    if not problems:
        return ""
    told = "; ".join(problems[:_MOST_TOLD])
    more = len(problems) - _MOST_TOLD
    return f"REMOTE_OUTPUTS was not taken as it is: {told}" + (f"; and {more} more" * (more > 0))
