"""What jobs gave back: among what `remotectl job show` prints, and one value for programs."""

from __future__ import annotations

from typing import Final

from remote_client.calls import TERMINAL
from remote_client.cli.output import bold, print_fields, say, stdout
from remote_client.errors import ClientError
from remote_client.transport import Document
from remote_protocol.printable import printable

_SHOWN: Final = 300
"""Characters of a value that the table shows."""


def print_outputs(view: Document) -> None:
    """Keys and values, each on a line; a long value is cut. Nothing for a job without any."""
    outputs = _outputs(view)
    if outputs:
        say("")
        say(bold("OUTPUTS"))
        print_fields((printable(key), _cut(key, value)) for key, value in outputs.items())


def print_output(view: Document, key: str) -> None:
    """One value as it is, and a line end; on a terminal its control characters are shown.
    ClientError when there is none."""
    outputs = _outputs(view)
    if key not in outputs:
        raise ClientError(_why_missing(view, key, outputs))
    value, target = outputs[key], stdout()
    target.write(((printable(value) if target.isatty() else value) + "\n").encode())
    target.flush()


def _outputs(view: Document) -> dict[str, str]:
    found = view.get("outputs")
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _cut(key: str, value: str) -> str:
    if len(value) <= _SHOWN:
        return value or "(empty)"
    return f"{value[:_SHOWN]}… ({len(value) - _SHOWN} more characters: --output-of {key})"


def _why_missing(view: Document, key: str, outputs: dict[str, str]) -> str:
    job = view.get("id")
    if view.get("state") not in TERMINAL:
        return (
            f"job {job} is {view.get('state')}; its outputs come with its end: "
            f"remotectl job wait {job}"
        )
    warning = f"; {view['outputs_warning']}" if view.get("outputs_warning") else ""
    known = f"it has {', '.join(outputs)}" if outputs else "it wrote nothing to $REMOTE_OUTPUTS"
    return f"job {job} has no output {key!r}: {known}{warning}"
