"""The private input of `remotectl run`: text from a file, a pipe or a terminal, which no argument
has. Loaded for jobs that have one."""

from __future__ import annotations

import getpass
import sys

from remote_client.cli.stdin import read_all
from remote_client.errors import UsageError
from remote_protocol.limits import MAX_PRIVATE_INPUT
from remote_protocol.units import format_size


def read_private_input(name: str) -> str:
    """The text of a file, byte for byte; `-` is standard input, at a terminal a hidden line.
    UsageError, in which nothing of the text stands."""
    if name == "-" and sys.stdin is not None and sys.stdin.isatty():
        try:
            text = getpass.getpass("Private input: ")
        except UnicodeDecodeError:
            raise _not_text(name) from None
        data = text.encode(errors="surrogateescape")
    else:
        data = _bytes(name)
    if len(data) > MAX_PRIVATE_INPUT:
        raise UsageError(
            f"--private-input {name} has more than {format_size(MAX_PRIVATE_INPUT)}; give by it "
            "what is private, and the rest as a --file"
        )
    if not data:
        raise UsageError(f"--private-input {name} is empty; leave it out")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        # The error itself quotes the bytes.
        raise _not_text(name) from None
    if "\0" in text:
        raise UsageError(
            f"--private-input {name} has a NUL, which is no text; encode it, for example with "
            "base64"
        )
    return text


def _not_text(name: str) -> UsageError:
    return UsageError(
        f"--private-input {name} is not text in UTF-8; encode it, for example with base64"
    )


def _bytes(name: str) -> bytes:
    if name == "-":
        return read_all("--private-input", MAX_PRIVATE_INPUT)
    try:
        with open(name, "rb") as file:
            return file.read(MAX_PRIVATE_INPUT + 1)
    except OSError as error:
        raise UsageError(f"--private-input {name}: {error.strerror}") from None
