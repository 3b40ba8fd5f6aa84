"""JSON texts that `json.dumps` cannot write, and the mutation of valid ones.

A tree is made of dicts, lists and scalars as usual, and of `Raw`: text that is written as it is,
such as a number of 5,000 digits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

Tree = Any


@dataclass(frozen=True)
class Raw:
    """Bytes in the place of a value, `repeat` times; `name` is for people."""

    unit: bytes
    repeat: int = 1
    tail: bytes = b""

    @property
    def text(self) -> bytes:
        return self.unit * self.repeat + self.tail * self.repeat


def render(tree: Tree) -> bytes:
    """The text of a tree."""
    if isinstance(tree, Raw):
        return tree.text
    if isinstance(tree, dict):
        pairs = (json.dumps(key).encode() + b": " + render(value) for key, value in tree.items())
        return b"{" + b", ".join(pairs) + b"}"
    if isinstance(tree, list):
        return b"[" + b", ".join(map(render, tree)) + b"]"
    return json.dumps(tree, ensure_ascii=False).encode("utf-8", "surrogatepass")


NASTY_TEXTS: Final = (
    "",
    "\0",
    " ",
    "..",
    "../../etc/passwd",
    "a" * 256,
    "界" * 90,
    "x" * 5_000,
    "9" * 5_000,
    "-1",
    "1e400",
    "１２",
    "٣",
    "1_000",
    "0x10",
    "nan",
    "inf",
    "true",
    "null",
    "1" + "0" * 400,
    str(2**63),
    str(2**63 - 1),
    str(2**64),
    "1e5",
    "10 years",
    "99999999999999999999d",
    "\u202e\u0000\ufffe",
    "'; DROP TABLE jobs; --",
    "%s%n{}",
    "REMOTE_JOB_ID",
    "a=b",
)
"""Texts that have been misread somewhere."""

NASTY: Final[tuple[Tree, ...]] = (
    *NASTY_TEXTS,
    None,
    True,
    False,
    0,
    -1,
    -0.0,
    1e308,
    2**31,
    2**32,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": ""},
    Raw(b"9", 4_000),
    Raw(b"9", 5_000),
    Raw(b"-", 1, b"9" * 5_000),
    Raw(b"1e400"),
    Raw(b"-1e400"),
    Raw(b"1e-400"),
    Raw(b"1e99999999999"),
    Raw(b"NaN"),
    Raw(b"-Infinity"),
    Raw(b'"\\ud800"'),
    Raw(b'"\\udc00\\ud800"'),
    Raw(b'"\xff\xfe"'),
    Raw(b'"\\u0000"'),
    Raw(b"[", 200, b"]"),
    Raw(b"[", 50_000, b"]"),
    Raw(b'{"a":', 50_000, b"}"),
    Raw(b"[", 50_000),
    Raw(b'"' + b"x" * 100_000 + b'"'),
    Raw(b"[" + b"0," * 20_000 + b"0]"),
    Raw(b"[" + b"{}," * 20_000 + b"{}]"),
    Raw(b"[" + b'"a",' * 20_000 + b'"a"]'),
    Raw(b"{" + b",".join(b'"k%d":"v"' % n for n in range(5_000)) + b"}"),
    Raw(b"{" + b",".join(b'"k%d":0' % n for n in range(5_000)) + b"}"),
    Raw(b'{"a": 1, "a": 2}'),
    Raw(b"01"),
    Raw(b"'x'"),
    Raw(b""),
)
"""Values that have broken a reader somewhere."""

_ODD_KEYS: Final = ("", "unknown", "\0", "__proto__", "type", "x" * 10_000, "model_config", "self")


def mutated(trees: st.SearchStrategy[Tree], most: int = 3) -> st.SearchStrategy[Tree]:
    """Trees with none to `most` of their places changed."""

    @st.composite
    def build(draw: st.DrawFn) -> Tree:
        tree = draw(trees)
        for _ in range(draw(st.integers(0, most))):
            tree = _mutate(draw, tree)
        return tree

    return build()


def _mutate(draw: st.DrawFn, tree: Tree) -> Tree:
    """One change: a place replaced, removed, doubled, or a field added."""
    if isinstance(tree, dict) and tree and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(list(tree)))
        deeper = isinstance(tree[key], dict | list) and draw(st.booleans())
        if deeper:
            return {**tree, key: _mutate(draw, tree[key])}
        how = draw(st.sampled_from(("replace", "replace", "replace", "remove", "add", "many")))
        if how == "remove":
            return {name: value for name, value in tree.items() if name != key}
        if how == "add":
            return {**tree, draw(st.sampled_from(_ODD_KEYS)): draw(st.sampled_from(NASTY))}
        if how == "many":
            count = draw(st.sampled_from((70, 700)))
            return {**tree, **{f"unknown{number}": number for number in range(count)}}
        return {**tree, key: draw(st.sampled_from(NASTY))}
    if isinstance(tree, list) and tree and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(tree) - 1))
        how = draw(st.sampled_from(("inside", "inside", "repeat", "remove", "append")))
        if how == "inside":
            return [*tree[:place], _mutate(draw, tree[place]), *tree[place + 1 :]]
        if how == "repeat":
            return [*tree, *[tree[place]] * draw(st.sampled_from((1, 100, 1_100)))]
        if how == "remove":
            return [*tree[:place], *tree[place + 1 :]]
        return [*tree, draw(st.sampled_from(NASTY))]
    return draw(st.sampled_from(NASTY))
