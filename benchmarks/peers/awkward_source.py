"""A source for DataHub's ingestion that behaves as its configuration says, for side-by-side
figures.

Used by recipes as `type: awkward_source.AwkwardSource`, with this folder on PYTHONPATH. Prints
lines with the time they were written, a byte that is no UTF-8, or ignores the polite signal; it
makes no metadata.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

from datahub.ingestion.api.common import PipelineContext
from datahub.ingestion.api.source import Source, SourceReport
from datahub.ingestion.api.workunit import MetadataWorkUnit


class AwkwardSource(Source):
    """`do`: `ticks` (with `count` and `pause`), `byte`, `wait` or `stubborn`; `mark` is a word in
    the command line of the child that the last two start."""

    def __init__(self, config: dict[str, Any], ctx: PipelineContext) -> None:
        super().__init__(ctx)
        self.config = config
        self.report = SourceReport()

    @classmethod
    def create(cls, config_dict: dict[str, Any], ctx: PipelineContext) -> AwkwardSource:
        return cls(config_dict, ctx)

    def get_report(self) -> SourceReport:
        return self.report

    def get_workunits(self) -> Iterable[MetadataWorkUnit]:
        getattr(self, f"_{self.config['do']}")()
        return []

    def _ticks(self) -> None:
        for number in range(int(self.config["count"])):
            print(f"TICK {number} {time.time():.6f}", flush=True)
            time.sleep(float(self.config["pause"]))

    def _byte(self) -> None:
        print("BEFORE", flush=True)
        sys.stdout.buffer.write(b"caf\xe9 \xff\n")
        sys.stdout.flush()
        time.sleep(0.5)
        print("AFTER", flush=True)

    def _wait(self) -> None:
        words = [sys.executable, "-c", "import time; time.sleep(600)", self.config["mark"]]
        print(f"STARTED {time.time():.6f}", flush=True)
        subprocess.run(words, check=False)

    def _stubborn(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ignore = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
        with subprocess.Popen([sys.executable, "-c", ignore, self.config["mark"]]):
            print(f"STARTED {time.time():.6f}", flush=True)
            time.sleep(600)
