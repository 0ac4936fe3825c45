"""What every program here is told, and what it answers.

    python -m tests.benchmarks.peers.NAME SERVERS TOPIC OWN PARTITIONS EXPECTED ANSWER FOLDER

The answer is a file, ``{"records": ..., "seconds": ..., "cpu": ...}``, timed from the first record to the last expected
one. Only the standard library is needed.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Task:
    """What a program is told, and its stopwatch.

    Attributes
    ----------
    servers
        ``host:port``.
    topic
        To read.
    own
        Names of this program's own topics and group begin with it.
    partitions
        It has so many, and so have all others.
    expected
        How many records to handle.
    answer
        The file to write.
    folder
        For files of its own.
    """

    servers: str
    topic: str
    own: str
    partitions: int
    expected: int
    answer: Path
    folder: Path
    handled: int = 0
    began: float = 0.0
    cpu: float = 0.0

    @classmethod
    def from_arguments(cls) -> Task:
        servers, topic, own, partitions, expected, answer, folder = sys.argv[1:]
        return cls(servers, topic, own, int(partitions), int(expected), Path(answer), Path(folder))

    @property
    def done(self) -> bool:
        return self.handled >= self.expected

    def name(self, suffix: str) -> str:
        """Name of a topic that this program writes; it is there already."""
        return f"{self.own}.{suffix}"

    def begin(self) -> None:
        """Start the stopwatch: the first record is here."""
        if not self.began:
            self.began, self.cpu = time.perf_counter(), time.process_time()

    def count(self, records: int = 1) -> None:
        """Note that so many more were handled; answers with the last expected one."""
        before, self.handled = self.handled, self.handled + records
        if before < self.expected <= self.handled:
            measured = {
                "records": self.handled,
                "seconds": time.perf_counter() - self.began,
                "cpu": time.process_time() - self.cpu,
            }
            part = self.answer.with_suffix(".part")
            part.write_text(json.dumps(measured))
            part.replace(self.answer)
