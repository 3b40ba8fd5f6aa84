"""The identity of an attempt: its job and its number. Pure.

The number is the fencing token of everything that is said about an attempt (I2). One text form,
`JOB.NUMBER`, in messages, log lines and the names of directories and cgroups; 20 bytes in the
header of a chunk. Every message and every chunk has one to be parsed, mostly of a few attempts:
the last ones are remembered.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from remote_protocol.ids import ULID, ulid_from_bytes, ulid_to_bytes

MAX_NUMBER: Final = (1 << 32) - 1
"""The highest number of an attempt."""
RAW_SIZE: Final = 20
"""Bytes of the binary form: the job's ULID, then the number as an unsigned 32-bit integer."""
_TEXT: Final = re.compile(rf"({ULID})\.([1-9][0-9]{{0,9}})", re.ASCII)
_LONGEST: Final = 37
"""Characters of the longest text."""
_REMEMBERED: Final = 2048


class AttemptId(NamedTuple):
    """One attempt of one job. The numbers of a job's attempts count from 1."""

    job: str
    """A ULID."""
    number: int

    def __str__(self) -> str:
        return f"{self.job}.{self.number}"

    @staticmethod
    def parse(text: str) -> AttemptId:
        """The attempt that a text names. ValueError when it is none in its canonical form."""
        return _parse(text)

    @staticmethod
    def from_bytes(raw: bytes) -> AttemptId:
        """The attempt that a binary form names. ValueError when it names none."""
        return _from_bytes(raw)

    @property
    def raw(self) -> bytes:
        """The binary form, for the header of a chunk. ValueError when it names no attempt."""
        return _to_bytes(self)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        text = core_schema.no_info_after_validator_function(
            _parse, core_schema.str_schema(max_length=_LONGEST)
        )
        known = core_schema.is_instance_schema(cls)
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([known, text], mode="left_to_right"),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _text, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )


@lru_cache(_REMEMBERED)
def _parse(text: str) -> AttemptId:
    found = _TEXT.fullmatch(text)
    if found is None or (number := int(found[2])) > MAX_NUMBER:
        raise ValueError("an attempt is named by its job's ULID, a dot, and its number from 1 on")
    return AttemptId(found[1], number)


@lru_cache(_REMEMBERED)
def _text(attempt: Any) -> str:
    return str(attempt)


@lru_cache(_REMEMBERED)
def _from_bytes(raw: bytes) -> AttemptId:
    if len(raw) != RAW_SIZE or not (number := int.from_bytes(raw[16:], "big")):
        raise ValueError("an attempt is 16 bytes of its job's ULID and 4 of its number")
    return AttemptId(ulid_from_bytes(raw[:16]), number)


@lru_cache(_REMEMBERED)
def _to_bytes(attempt: AttemptId) -> bytes:
    if not 1 <= attempt.number <= MAX_NUMBER:
        raise ValueError(f"the number of an attempt is 1 to {MAX_NUMBER}, not {attempt.number}")
    return ulid_to_bytes(attempt.job) + attempt.number.to_bytes(4, "big")
