"""What the records of an attempt say, as JSON. Pure.

Every job has both records, and they look alike: so each is one text with its values put in. To make
dictionaries of them first, and those into JSON, took a fifth of a short job's shim.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from remote_agent.processes import Usage
from remote_agent.shim.ending import EndResult, Step
from remote_agent.shim.json_text import encode, fields, moment, quote
from remote_agent.shim.outputs import without_outputs
from remote_agent.shim.record import CLEAN_FIELD, RECORD_BEGINNING

NO_USAGE: Final = '{"duration":0.0}'
"""Of a job that could not be started."""


def shim_fields(pid: int, start_time: str, boot_id: str) -> str:
    """What the start records of a shim say of itself: the same in all of them."""
    return fields({"shim_pid": pid, "shim_start_time": start_time, "boot_id": boot_id})


def start_record(key: str, identity: str, shim: str, at: float) -> bytes:
    """Who runs an attempt. `key` is JSON, `identity` its workload's, `shim` are `shim_fields`."""
    return f'{RECORD_BEGINNING}{key},{identity},{shim},"at":{moment(at)}}}'.encode()


def usage_text(usage: Usage, stdout: int, stderr: int, duration: float) -> str:
    """What a job has used, and how many bytes it has written."""
    return (
        f'{{"cpu_user":{usage.cpu_user:.6f},"cpu_system":{usage.cpu_system:.6f},'
        f'"max_rss":{usage.max_rss},"stdout_bytes":{stdout},"stderr_bytes":{stderr},'
        f'"duration":{duration:.6f}}}'
    )


def steps_text(steps: Iterable[Step]) -> str:
    """What was done with an attempt, for the job's timeline."""
    return f"[{','.join([_step(*step) for step in steps])}]"


def _step(at: float, what: str, detail: str) -> str:
    more = f',"detail":{quote(detail)}' if detail else ""
    return f'{{"at":{moment(at)},"what":{quote(what)}{more}}}'


class ExitRecord(NamedTuple):
    """What the exit record says."""

    key: str
    """As JSON."""
    result: EndResult
    size: int
    checksum: int
    """Of the whole log."""
    usage: str
    """As `usage_text` has it."""
    started_at: float | None
    """None: the job was never started."""
    ended_at: float
    steps: str
    given: Mapping[str, Any]
    """What the job has given besides: outputs, artifacts."""
    clean: bool

    def text(self) -> str:
        """As JSON."""
        result, given = self.result, self.given
        started = "null" if self.started_at is None else moment(self.started_at)
        more = f",{fields(given)}" if given else ""
        return (
            f'{RECORD_BEGINNING}{self.key},"exit_code":{result.exit_code},'
            f'"end_reason":{quote(result.end_reason)},"end_detail":{quote(result.end_detail)},'
            f'"size":{self.size},"checksum":{self.checksum},"usage":{self.usage},'
            f'"started_at":{started},"ended_at":{moment(self.ended_at)},'
            f'"steps":{self.steps}{more}{CLEAN_FIELD}{encode(self.clean)}}}'
        )

    def for_datagram(self) -> str:
        """The same, short enough for a datagram."""
        return self._replace(given=without_outputs(self.given)).text()
