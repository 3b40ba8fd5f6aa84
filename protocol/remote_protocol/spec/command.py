"""Jobs of the kind `command`: a program with arguments, or a script for a shell. Pure."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from remote_protocol.defaults import empty_list
from remote_protocol.limits import MAX_ARGUMENTS, MAX_SCRIPT_SIZE
from remote_protocol.program import check_command, check_fits, check_text
from remote_protocol.spec.job import Argument, JobSpec
from remote_protocol.units import plain_size


class CommandSpec(JobSpec, kind="command"):
    """A job that runs one program."""

    kind: Literal["command"] = "command"
    command: Annotated[
        list[Argument], Field(max_length=MAX_ARGUMENTS), BeforeValidator(check_command)
    ] = Field(default_factory=empty_list)
    """Program and arguments; no shell is involved unless `shell` is set."""
    shell: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    """Interpreter for `script`, or for `command` joined by spaces as ssh does."""
    script: Annotated[str, StringConstraints(max_length=MAX_SCRIPT_SIZE)] | None = None
    args: Annotated[
        list[Argument], Field(max_length=MAX_ARGUMENTS), BeforeValidator(check_command)
    ] = Field(default_factory=empty_list)
    """Arguments of `script`."""

    @field_validator("shell", "script", mode="before")
    @classmethod
    def _text(cls, text: object) -> object:
        if isinstance(text, str):
            check_text(text, "it")
        return text

    @model_validator(mode="after")
    def _something_to_run(self) -> Self:
        # Read once: a model's fields are slow to read, and every job that is read comes here.
        command, shell, script, args = self.command, self.shell, self.script, self.args
        if script is not None and command:
            raise ValueError("give a command or a script, not both")
        if script is not None and shell is None:
            raise ValueError("a script needs a shell, for example bash")
        if args and script is None:
            raise ValueError("args are those of a script; those of a command follow it there")
        if script is None and not (command and command[0]):
            raise ValueError("give a command, for example ['echo', 'hi'], or a shell and a script")
        # A shell's words are joined in a file, and not given as arguments.
        check_fits(args if shell else command, self.env)
        if shell and sum(map(len, command)) + len(command) > MAX_SCRIPT_SIZE:
            raise ValueError(f"the shell's text is longer than {plain_size(MAX_SCRIPT_SIZE)}")
        return self

    @property
    def script_text(self) -> str | None:
        """What the shell has to run; None when the command is executed directly."""
        if self.shell is None:
            return None
        return self.script if self.script is not None else " ".join(self.command)
