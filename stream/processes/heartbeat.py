"""Signs of life of a child process: a line of JSON every second, through a pipe that its supervisor made.

A process that is frozen, or whose interpreter hangs in foreign code, answers no probe and ends itself by no watchdog of
its own. It falls silent, and whoever listens can tell. A pipe needs no port, and is closed by the kernel.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

logger = logging.getLogger(__name__)

VARIABLE = "PERENNIAL_BEATS"
"""Environment variable that tells a child which of its open files the pipe is."""
STARTING_S = 60.0
"""So much longer may a process be silent before its first beat: it has to be loaded."""


class Beats:
    """A child's end of the pipe.

    Parameters
    ----------
    descriptor
        Open file to write to; never waited for.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor: int | None = descriptor
        self._rest = b""

    @classmethod
    def from_environment(cls) -> Beats | None:
        """The pipe of this process's supervisor, if it made one."""
        number = os.environ.get(VARIABLE)
        return None if number is None else cls(int(number))

    def send(self, report: Mapping[str, Any]) -> None:
        """Tell how things stand; what a supervisor that does not read has no room for is left out."""
        if self._descriptor is None:
            return
        if not self._rest:
            self._rest = orjson.dumps(report) + b"\n"
        try:
            written = os.write(self._descriptor, self._rest)
        except BlockingIOError:
            return
        except OSError as error:
            logger.warning("nobody listens to this process any more: %s", error)
            self._descriptor = None
            return
        self._rest = self._rest[written:]


class Listener:
    """A supervisor's end of the pipe: the newest report, and whether the child fell silent.

    Parameters
    ----------
    name
        Of the program, for the thread.
    silent_s
        A child that tells nothing for so long has fallen silent; :data:`STARTING_S` longer before its first word.
    on_silence
        Called once when that happens, in this listener's thread.

    Attributes
    ----------
    child_end
        The open file that the child shall write to; :meth:`hand_over` closes it here.
    report
        The newest report; ``None`` before the first.
    heard_at
        When that came, on the monotonic clock.
    """

    def __init__(self, name: str, silent_s: float, on_silence: Callable[[], None]) -> None:
        self._read_end, self.child_end = os.pipe()
        self._silent_s = silent_s
        self._on_silence = on_silence
        self.report: Mapping[str, Any] | None = None
        self.heard_at = time.monotonic()
        self._thread = threading.Thread(target=self._listen, name=f"listener of {name}", daemon=True)

    def hand_over(self) -> None:
        """Begin to listen; the child has its end."""
        os.close(self.child_end)
        self._thread.start()

    def give_up(self) -> None:
        """Close both ends: there is no child."""
        os.close(self.child_end)
        os.close(self._read_end)

    def _listen(self) -> None:
        received = b""
        patience = self._silent_s + STARTING_S
        try:
            while True:
                # poll and not select: a supervisor may have more than a thousand files open
                poll = select.poll()
                poll.register(self._read_end, select.POLLIN)
                if not poll.poll(patience * 1_000):
                    self._on_silence()
                    return
                content = os.read(self._read_end, 1 << 16)
                if not content:
                    return  # it has ended
                *lines, received = (received + content).split(b"\n")
                for line in lines:
                    self._hear(line)
                    patience = self._silent_s
        finally:
            os.close(self._read_end)

    def _hear(self, line: bytes) -> None:
        with contextlib.suppress(orjson.JSONDecodeError):  # the child was killed in the middle of one
            self.report = orjson.loads(line)
            self.heard_at = time.monotonic()
