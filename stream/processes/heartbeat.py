"""Reports of a child process: a line of JSON every second, through a pipe that its supervisor made.

A frozen process, or one whose interpreter hangs in foreign code, answers no probe, and its own watchdog cannot end it.
Its reports stop, so its supervisor notices and kills it. A pipe needs no port, and the kernel closes it when the
process ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable

import msgspec

from stream.processes.worker_report import WorkerReport

logger = logging.getLogger(__name__)

VARIABLE = "PERENNIAL_BEATS"
"""Environment variable that names the pipe among the open files of a child."""
STARTING_S = 60.0
"""How long the first report may take in addition to the usual time, seconds: the process loads its code first."""


class HeartbeatWriter:
    """A child's end of the pipe.

    Parameters
    ----------
    descriptor
        Open file to write to; writing never blocks.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor: int | None = descriptor
        self._rest = b""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(descriptor={self._descriptor})"

    @classmethod
    def from_environment(cls) -> HeartbeatWriter | None:
        """Return the pipe that this process's supervisor made, if there is one."""
        number = os.environ.get(VARIABLE)
        return None if number is None else cls(int(number))

    def send(self, report: WorkerReport) -> None:
        """Report the state of the process; leave the report out if the pipe is full."""
        if self._descriptor is None:
            return
        if not self._rest:
            self._rest = msgspec.json.encode(report) + b"\n"
        try:
            written = os.write(self._descriptor, self._rest)
        except BlockingIOError:
            return
        except OSError as error:
            logger.warning("the supervisor of this process no longer reads its reports: %s", error)
            self._descriptor = None
            return
        self._rest = self._rest[written:]


class HeartbeatReader:
    """A supervisor's end of the pipe: it has the newest report, and notices when the reports stop.

    Parameters
    ----------
    name
        Name of the program, for the thread.
    silent_s
        Seconds without a report after which the child counts as silent. The first report may take
        :data:`STARTING_S` longer.
    on_silence
        Called once when the child counts as silent, in this reader's thread.

    Attributes
    ----------
    child_end
        The open file for the child to write to; :meth:`hand_over` closes it here.
    report
        The newest report; ``None`` before the first.
    received_at
        Time at which the newest report came, on the monotonic clock; before the first, the time at which the reader was
        made.
    """

    def __init__(self, name: str, silent_s: float, on_silence: Callable[[], None]) -> None:
        self._read_end, self.child_end = os.pipe()
        self._silent_s = silent_s
        self._on_silence = on_silence
        self.report: WorkerReport | None = None
        self.received_at = time.monotonic()
        self._thread = threading.Thread(target=self._read, name=f"heartbeat of {name}", daemon=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._thread.name!r}, report={self.report!r})"

    def hand_over(self) -> None:
        """Close the child's end in this process, because the child has it now, and begin to read."""
        os.close(self.child_end)
        self._thread.start()

    def give_up(self) -> None:
        """Close both ends, because there is no child."""
        os.close(self.child_end)
        os.close(self._read_end)

    def _read(self) -> None:
        received = b""
        patience_s = self._silent_s + STARTING_S
        try:
            while True:
                # poll and not select, because select fails for a process with more than about a thousand open files
                poll = select.poll()
                poll.register(self._read_end, select.POLLIN)
                if not poll.poll(patience_s * 1_000):
                    self._on_silence()
                    return
                content = os.read(self._read_end, 1 << 16)
                if not content:
                    return  # the process has ended
                *lines, received = (received + content).split(b"\n")
                for line in lines:
                    self._take(line)
                    patience_s = self._silent_s
        finally:
            os.close(self._read_end)

    def _take(self, line: bytes) -> None:
        with contextlib.suppress(msgspec.DecodeError):  # the child was killed while it wrote the line
            self.report = msgspec.json.decode(line, type=WorkerReport)
            self.received_at = time.monotonic()
