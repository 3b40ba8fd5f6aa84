"""What pages show of a toy."""

from __future__ import annotations

from typing import Any

from remote_server.web.pages.kinds import Row, Shown, Table


def words(job: Any) -> str:
    """What it does, as a line."""
    return f"greets with {job.greeting}"


def shown(job: Any) -> Shown:
    """What its page shows."""
    rows = [Row((key, value), "succeeded") for key, value in job.outputs.items()]
    table = Table("greetings", "Greetings", "What it said.", ("How", "What"), rows)
    return Shown("greeting", job.greeting, [("Language", "<English>")], [table])
