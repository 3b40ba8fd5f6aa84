"""The values of secrets that a recipe names are nowhere but in its own process, while it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from remote_protocol.states import JobState
from tests.ingestion.conftest import VALUE, Ingestion
from tests.ingestion.gms import Gms
from tests.support.stack import until


def test_a_secret_of_a_recipe_is_in_no_file_and_no_variable(ingestion: Ingestion) -> None:
    stack = ingestion.stack
    with Gms(VALUE, slow=True) as gms:
        config = {"server": gms.url, "token": "${SECRET_VALUE}", "mode": "SYNC"}
        sink = {"type": "datahub-rest", "config": config}
        recipe = {"source": ingestion.from_sqlite(), "sink": sink}
        job = ingestion.submit(recipe, debug=True)
        until(gms.reached.is_set, "the sink is at work with the secret")

        processes = [pid for pid in of_job(job) if "extension.py" in read(f"/proc/{pid}/cmdline")]
        assert processes, "the recipe runs"
        for pid in processes:
            assert VALUE not in read(f"/proc/{pid}/environ")
            assert VALUE not in read(f"/proc/{pid}/cmdline")
        assert found_in(ingestion.root) == []
        gms.proceed.set()
        ended = stack.client.wait(job, 100)
    assert ended.state is JobState.SUCCEEDED, ingestion.log(ended)
    assert gms.refused == 0 and gms.proposals

    assert found_in(ingestion.root) == []
    assert VALUE not in ingestion.log(ended) + stack.server.words() + ingestion.agent.words()
    said = b""
    for words in (("show", job), ("list",), ("show", job, "--output", "json")):
        said = stack.ctl("job", *words).stdout
        assert said and VALUE.encode() not in said
    assert json.loads(said)["secrets"] == ["SECRET_VALUE"]
    assert VALUE.encode() not in stack.ctl("audit").stdout


def of_job(job: str) -> Iterator[int]:
    """The processes of a job."""
    for name in os.listdir("/proc"):
        if name.isdecimal() and f"REMOTE_JOB_ID={job}" in read(f"/proc/{name}/environ"):
            yield int(name)


def found_in(folder: Path) -> list[str]:
    """Files below a folder that hold the value, in any of its plain forms."""
    hits = []
    for path in sorted(folder.rglob("*")):
        try:
            if path.is_file() and VALUE.encode() in path.read_bytes():
                hits.append(str(path))
        except OSError:
            continue  # it went away meanwhile
    return hits


def read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""
