"""Jobs of the kind `python`: a Python program with the packages that it requires. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from remote_protocol.contents import ContentRef
from remote_protocol.defaults import empty_list
from remote_protocol.files import FilePath
from remote_protocol.ids import Name
from remote_protocol.limits import (
    MAX_ARGUMENTS,
    MAX_PRELOAD,
    MAX_PRELOAD_ENV,
    MAX_REQUIREMENT,
    MAX_REQUIREMENTS,
    MAX_SCRIPT_SIZE,
    SCRIPT_NAME,
    SCRIPT_NAME_PATTERN,
)
from remote_protocol.program import check_command, check_fits, check_text
from remote_protocol.requirements import check_requirements, normalised
from remote_protocol.spec.bundle import Bundle
from remote_protocol.spec.job import Argument, JobSpec

ModuleName = Annotated[
    str, StringConstraints(max_length=256, pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")
]

Requirements = Annotated[
    list[Annotated[str, StringConstraints(max_length=MAX_REQUIREMENT)]],
    Field(max_length=MAX_REQUIREMENTS),
    BeforeValidator(check_requirements),
    AfterValidator(lambda lines: sorted({normalised(line) for line in lines})),
]
"""Packages, one a line as in a requirements file: names, extras, versions, markers, `--hash`."""


class PythonSpec(JobSpec, kind="python"):
    """A job that runs a Python program, given as text, as a module, or as a file of a bundle."""

    kind: Literal["python"] = "python"
    script: Annotated[str, StringConstraints(max_length=MAX_SCRIPT_SIZE)] | None = None
    """The program's text; it lies in the work directory, beside the job's files."""
    filename: Annotated[str, StringConstraints(pattern=SCRIPT_NAME_PATTERN)] = SCRIPT_NAME
    """What the script is called there, and in tracebacks."""
    module: ModuleName | None = None
    """A module to run instead (`python -m`), from the job's files or its requirements."""
    bundle: Bundle | None = None
    """The program with what belongs to it, as one archive."""
    entry: FilePath | None = None
    """The file of the bundle to run, by its path there."""
    args: Annotated[
        list[Argument], Field(max_length=MAX_ARGUMENTS), BeforeValidator(check_command)
    ] = Field(default_factory=empty_list)
    """Arguments of the program."""
    requirements: Requirements = Field(default_factory=empty_list)
    """Packages, one a line as in a requirements file: names, extras, versions, markers, `--hash`.
    The agent prepares an environment with them, once for all jobs that require the same."""
    python: Annotated[str, StringConstraints(pattern=r"^3\.[0-9]{1,2}$")] | None = None
    """Version of the interpreter, as `3.12`; default is the one that the agent is set to."""

    environment: Name | None = None
    """An environment that the agent has prepared, by its name there (`[python] environments`); in
    place of `requirements` and `python`."""
    preload: Annotated[list[ModuleName], Field(max_length=MAX_PRELOAD)] = Field(
        default_factory=empty_list
    )
    """Modules that take long to import. The agent keeps an interpreter that has imported them, and
    forks the job from it; where it cannot, the job starts as any other."""
    preload_env: Annotated[
        list[Annotated[str, StringConstraints(min_length=1, max_length=256)]],
        Field(max_length=MAX_PRELOAD_ENV),
    ] = Field(default_factory=empty_list)
    """Variables of `env` that those modules must find when they are imported; all others are set
    after the fork. Jobs with other values of these have another interpreter."""

    @field_validator("script", mode="before")
    @classmethod
    def _text(cls, text: object) -> object:
        if isinstance(text, str):
            check_text(text, "it")
        return text

    @model_validator(mode="after")
    def _something_to_run(self) -> Self:
        given = [self.script, self.module, self.entry]
        if sum(one is not None for one in given) != 1:
            raise ValueError("give a script or a module or an entry of a bundle, one of them")
        if self.entry is not None and (self.bundle is None or self.bundle.form == "wheel"):
            raise ValueError("an entry is a file of a bundle that is a directory or a zip")
        if self.script is not None and any(file.path == self.filename for file in self.files):
            raise ValueError(f"{self.filename} is the script; name the file of this name otherwise")
        check_fits(self.args, self.env)
        self._check_environment()
        return self

    def _check_environment(self) -> None:
        if self.environment is not None and (self.requirements or self.python is not None):
            raise ValueError(
                "environment names one that is prepared already: leave requirements and python out"
            )
        if self.environment is not None and self.bundle and self.bundle.form == "wheel":
            raise ValueError(
                "a wheel is installed into an environment of its own: leave environment out, or "
                "give the program as a directory or a zip"
            )
        if self.preload and self.bundle:
            raise ValueError(
                "preload does not go with a bundle: nothing is unpacked before the modules are "
                "imported; name them as requirements, or an environment that the agent has"
            )
        if self.preload_env and not self.preload:
            raise ValueError("preload_env is for the modules of preload, and there are none")
        if missing := [name for name in self.preload_env if name not in self.env]:
            raise ValueError(f"preload_env names {missing[0]!r}, which is not in env")

    @property
    def words(self) -> list[str]:
        """What it runs, as somebody would write it behind `python`."""
        if self.module is not None:
            return ["-m", self.module, *self.args]
        return [self.entry or self.filename, *self.args]

    @property
    def contents(self) -> list[ContentRef]:
        """The contents that it names, the bundle first."""
        found = super().contents
        if self.bundle is None:
            return found
        return list(dict.fromkeys([self.bundle.ref, *found]))
