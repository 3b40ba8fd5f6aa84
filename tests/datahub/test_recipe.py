"""Recipes: what is one, what its ends need, which secrets stand in it."""

from __future__ import annotations

import json

import pytest

from remote_datahub.recipe import MAX_YAML, RecipeError, line_of, parse, passwords, plugins_of

GOOD = "source:\n  type: mysql\n  config: {host_port: db}\nsink: {type: datahub-rest}\n"


def fault(text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        parse(text)
    return str(caught.value)


def test_a_recipe_in_yaml_and_in_json() -> None:
    recipe = parse(GOOD)
    assert (recipe.source, recipe.sink, recipe.names_sink) == ("mysql", "datahub-rest", True)
    assert parse(json.dumps(recipe.content)) == recipe
    assert parse("{source: {type: mysql}}").source == "mysql"


def test_without_a_sink_datahubs_server_is_one() -> None:
    recipe = parse("source: {type: file}")
    assert (recipe.sink, recipe.names_sink) == ("datahub-rest", False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: b: c", "not YAML: line 1, column 5: mapping values are not allowed"),
        ("source:\n  type: [\n", "not YAML: line 3"),
        ("\x07", "not YAML"),
        ("", "is empty, not a mapping"),
        ("- source", "is a list, not a mapping"),
        ("hello", "is a single value"),
        ("3: 4", "has no source"),
        ("source: mysql", "source has no type; write, below source:, type: mysql"),
        ("source: {config: {}}", "source has no type"),
        ("source: {type: 3}", "source has no type"),
        ("source: {type: a}\nsink: [1]", "sink has no type"),
        ("{" * 100_000, "nested too deeply|characters of YAML"),
        ("[" * 60_000, "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("a: " + "x" * MAX_YAML, "give it as JSON"),
        # What PyYAML fails at by an exception of its own making.
        ("source: {type: a}\nb: !!bool x", "not YAML that a recipe can be"),
        ("source: {type: a}\nb: !!timestamp x", "not YAML that a recipe can be"),
        ("source: {type: a}\nb: " + "59:" * 300 + "1.5", "not YAML that a recipe can be"),
    ],
)
def test_what_is_no_recipe(text: str, words: str) -> None:
    import re

    assert re.search(words, fault(text)), fault(text)
    assert len(fault(text)) < 400


def test_plugins_are_those_of_both_ends() -> None:
    assert plugins_of(parse(GOOD)) == ["datahub-rest", "mysql"]
    assert plugins_of(parse("source: {type: file}\nsink: {type: console}")) == []
    assert plugins_of(parse("source: {type: my.own.Source}\nsink: {type: datahub_kafka}")) == [
        "datahub-kafka"
    ]


def test_values_that_look_like_secrets_are_found_by_their_keys() -> None:
    recipe = parse(
        "source:\n  type: mysql\n  config:\n    password: hunter2\n    token: ${TOKEN}\n"
        "    token_path: /a\n    options: [{api_key: k}]\n    uri: mysql://me:pw@host/db\n"
        "    access_key_id: AKIA\n    empty_password: ''\n"
        "sink: {type: datahub-rest, config: {server: http://a}}\n"
    )
    assert passwords(recipe) == [
        "source.config.password",
        "source.config.options.0.api_key",
        "source.config.uri",
    ]


def test_a_part_that_is_named_often_is_looked_at_once() -> None:
    bomb = "source: {type: a}\na: &a [x, x]\n" + "".join(
        f"k{n}: &k{n} [{','.join(['*a' if n == 0 else f'*k{n - 1}'] * 10)}]\n" for n in range(30)
    )
    assert passwords(parse(bomb)) == []


def test_merges_of_merges_take_no_time() -> None:
    """Each of these levels has ten times the one before it, where a reader counts them all."""
    rows = ["l0: &l0 {a: 1}"]
    rows += [f"l{n}: &l{n} {{<<: [{','.join([f'*l{n - 1}'] * 10)}]}}" for n in range(1, 12)]
    assert parse("\n".join([*rows, "source: {type: a}"])).source == "a"


def test_a_kind_that_no_page_can_show_is_spelled_out() -> None:
    assert line_of(json.dumps({"source": {"type": "a\ud800\x1b"}}), "RUN_INGEST") == (
        "DataHub: a\\ud800\\x1b to datahub-rest"
    )
