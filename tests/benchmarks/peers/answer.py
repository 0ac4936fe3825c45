"""Arguments and answer of every program in this package.

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
    """Arguments of a program, and its stopwatch.

    Attributes
    ----------
    servers
        ``host:port``.
    topic
        Topic to read.
    own
        Prefix of the names of this program's topics and group.
    partitions
        Number of partitions of this topic and of all others.
    expected
        Number of records to handle.
    answer
        File to write.
    folder
        Folder for the files of the program.
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
        """Return the name of a topic that this program writes; it exists already."""
        return f"{self.own}.{suffix}"

    def begin(self) -> None:
        """Start the stopwatch at the first record."""
        if not self.began:
            self.began, self.cpu = time.perf_counter(), time.process_time()

    def count(self, records: int = 1) -> None:
        """Record the number of records handled; write the answer after the last expected record."""
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
