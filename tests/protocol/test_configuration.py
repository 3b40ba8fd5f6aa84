"""Layers of configuration: origins by line, later layers win, all faults at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from remote_protocol.configuration import Layers
from remote_protocol.ids import Name


class Garden(BaseModel):
    model_config = ConfigDict(extra="forbid")
    trees: int = 1
    owner: Name | None = None
    beds: dict[str, int] = {}
    tools: list[str] | None = Field(default=None, min_length=1)


class Config(BaseModel):
    model_config = ConfigDict(extra="forbid")
    garden: Garden = Garden()


def layers(text: str = "") -> Layers:
    found = Layers({"garden": Garden})
    found.read(text, "garden.toml")
    return found


def test_values_keep_the_line_they_come_from() -> None:
    found = layers('# a comment\n[garden]\n\ntrees = 3 # three\n"owner" = "ann"\n')
    config = found.validate(Config)
    assert config == Config(garden=Garden(trees=3, owner="ann"))
    assert found.origins["garden", "trees"] == "garden.toml:4"
    assert found.origins["garden", "owner"] == "garden.toml:5"
    assert found.faults == []


def test_dotted_keys_and_tables_in_tables_have_lines_too() -> None:
    found = layers("garden.trees = 2\n[garden.beds]\nroses = 'many'\n")
    assert found.origins["garden", "trees"] == "garden.toml:1"
    assert found.validate(Config) is None
    (fault,) = found.faults
    assert fault.startswith("garden.toml:3: [garden] beds.roses: should be ")


def test_a_later_layer_wins_and_is_blamed() -> None:
    found = layers("[garden]\ntrees = 3\n")
    found.set("garden", "trees", "x", "GARDEN_TREES")
    assert found.validate(Config) is None
    (fault,) = found.faults
    assert fault.startswith("GARDEN_TREES: [garden] trees: should be")


def test_every_fault_is_named_at_once() -> None:
    found = layers(
        "[garden]\ntrees = 'x'\nowner = 'no spaces'\ntols = []\ntools = []\n[gardn]\na = 1\n"
    )
    assert found.validate(Config) is None
    assert sorted(found.faults) == [
        "garden.toml:2: [garden] trees: should be an integer; 'x' is none",
        "garden.toml:3: [garden] owner: is 1 to 128 letters, digits, dots, hyphens or underscores",
        "garden.toml:4: [garden] tols: unknown key; did you mean tools?",
        "garden.toml:5: [garden] tools: is empty; give at least one, or leave the key out",
        "garden.toml:6: [gardn]: unknown section; did you mean garden?",
    ]


def test_an_unlike_key_gets_the_list() -> None:
    found = layers("[garden]\nzzz = 1\n")
    found.validate(Config)
    assert found.faults == [
        "garden.toml:2: [garden] zzz: unknown key; known are trees, owner, beds, tools"
    ]


def test_a_syntax_error_has_its_line_and_hides_no_other_layer() -> None:
    found = layers("[garden]\ntrees = = 1\n")
    found.set("garden", "trees", "x", "--trees")
    found.validate(Config)
    assert found.faults[0].startswith("garden.toml:2: not valid TOML: ")
    assert found.faults[1].startswith("--trees: [garden] trees: ")


def test_a_value_where_a_section_belongs() -> None:
    found = layers("garden = 1\n")
    found.set("garden", "trees", 2, "--trees")
    found.validate(Config)
    assert found.faults == [
        "garden.toml:1: [garden]: is a section: write [garden] on a line of its own"
    ]


def test_what_is_adopted_goes_over_the_file_when_it_is_given_and_behind_it_when_it_is_usual() -> (
    None
):
    found = layers("[garden]\ntrees = 1\n")
    found.adopt("garden", "trees", 2, None, "usual")
    assert found.values["garden"]["trees"] == 1
    found.adopt("garden", "trees", "x", "TREES", "usual")
    found.adopt("garden", "owner", "!", None, "usual")
    found.validate(Config)
    assert found.faults[0].startswith("TREES: [garden] trees: ")
    assert found.faults[1].startswith("usual: [garden] owner: ")
