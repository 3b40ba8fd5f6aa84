"""Jobs of the kind `datahub`: a recipe of DataHub's ingestion, run by its command line. Pure.

The recipe stays text here: what it means is known to the version of DataHub that runs it.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from remote_datahub.recipe import MAX_RECIPE
from remote_protocol.ids import Name
from remote_protocol.limits import MAX_NAME, MAX_SECRETS
from remote_protocol.program import check_text
from remote_protocol.quantities import Duration
from remote_protocol.requirements import canonical
from remote_protocol.secret_names import FILE_SUFFIX, RESERVED_PREFIX
from remote_protocol.spec.job import JobSpec
from remote_protocol.spec.python import Requirements

MAX_PLUGINS: Final = 64
GRACE_PERIOD: Final = 60.0
"""Seconds in which a cancelled ingestion may write its report."""
_COMMENT: Final = re.compile(r"^[ \t]*#.*$", re.MULTILINE)
_REFERENCE: Final = re.compile(rf"\$\{{([A-Za-z_][A-Za-z0-9_]{{0,{MAX_NAME - 1}}})\}}")
_PLUGIN: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")


class DatahubSpec(JobSpec, kind="datahub"):
    """A job that runs a recipe of DataHub's ingestion, or tries the connection of its source."""

    kind: Literal["datahub"] = "datahub"
    recipe: Annotated[str, StringConstraints(min_length=1, max_length=MAX_RECIPE)]
    """The recipe as YAML or JSON. `${NAME}` in it is a variable of `env`, or else a secret, whose
    name is added to `secrets`."""
    task: Literal["RUN_INGEST", "TEST_CONNECTION"] = "RUN_INGEST"
    """Ingest, or only try the connection of the source."""
    version: (
        Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Za-z.+!_-]*$", max_length=64)] | None
    ) = None
    """Of the package acryl-datahub; default: the one that the agent is set to."""
    plugins: Annotated[
        list[Annotated[str, StringConstraints(max_length=MAX_NAME)]], Field(max_length=MAX_PLUGINS)
    ] = Field(default_factory=list)
    """Extras of that package; empty: those of the recipe's source and sink."""
    requirements: Requirements = Field(default_factory=list)
    """Further packages, as jobs of the kind `python` have them."""
    debug: bool = False
    """Whether DataHub's command line tells all that it does."""
    environment: Name | None = None
    """A prepared environment of the agent, by its name: nothing is installed, and `version`,
    `plugins` and `requirements` are not given."""
    grace_period: Duration = GRACE_PERIOD
    """Seconds between the polite signal and the forced kill."""

    @model_validator(mode="before")
    @classmethod
    def _secrets_of_recipe(cls, fields: Any) -> Any:
        if not isinstance(fields, dict) or not isinstance(recipe := fields.get("recipe"), str):
            return fields
        given, env = fields.get("secrets", []), fields.get("env", {})
        if len(recipe) > MAX_RECIPE or not isinstance(given, list) or not isinstance(env, dict):
            return fields  # which is refused
        files = fields.get("secret_files", [])
        if len(given) > MAX_SECRETS or (isinstance(files, list) and len(files) > MAX_SECRETS):
            return fields  # refused, too; a recipe's names times these would take minutes
        paths = {f"{name}{FILE_SUFFIX}" for name in files} if isinstance(files, list) else set()
        found = [
            name
            for name in references(recipe)
            if name not in env and name not in given and name not in paths
        ]
        return {**fields, "secrets": [*given, *found]} if found else fields

    @field_validator("recipe", mode="before")
    @classmethod
    def _text(cls, text: object) -> object:
        if isinstance(text, str):
            check_text(text, "it")
        return text

    @field_validator("plugins")
    @classmethod
    def _plugins(cls, names: list[str]) -> list[str]:
        for name in names:
            if not _PLUGIN.fullmatch(canonical(name)):
                raise ValueError(
                    f"{name!r} is no plugin of DataHub; it has names as snowflake, bigquery or "
                    "datahub-rest"
                )
        return sorted({canonical(name) for name in names})

    @model_validator(mode="after")
    def _usable(self) -> DatahubSpec:
        if self.has_input:
            raise ValueError(
                "a recipe's job has no input of its own; leave out stdin and private_input"
            )
        named = references(self.recipe) if self.secret_files else ()
        for name in self.secret_files:
            if name in named:
                raise ValueError(
                    f"the recipe takes {name} as a text: leave it out of secret_files, or write "
                    f"${{{name}{FILE_SUFFIX}}} for the path of its file"
                )
        if self.environment is not None and (self.version or self.plugins or self.requirements):
            raise ValueError(
                "environment names a prepared one: leave out version, plugins and requirements"
            )
        return self


def references(recipe: str) -> list[str]:
    """The names of all `${NAME}` in a recipe but for its comments, and for the variables that the
    agent sets; each once, in their order."""
    found = dict.fromkeys(_REFERENCE.findall(_COMMENT.sub("", recipe)))
    return [name for name in found if not name.startswith(RESERVED_PREFIX)]
