"""A keeper: one program, and the thread that waits for its end and starts it again."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import IO

from models.errors import PerennialError
from stream.processes.child import Child
from stream.processes.exits import MISTAKE, STALLED, why_ended
from stream.processes.heartbeat import VARIABLE, HeartbeatReader
from stream.processes.programs import Backoff, Program, State, Status
from stream.processes.worker_report import WorkerReport

logger = logging.getLogger(__name__)

REFUSED_WITHIN_S = 60.0
"""Time after the first start in which the exit code of a mistake means that a program refuses to start, seconds.

Such a program is not started again. If it ends later with that exit code, it is started again. The time is long,
because a busy machine is slow.
"""
CRASH_LOOP = 5
"""Number of consecutive early ends; this one and all further ones are logged as errors."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Functions that a keeper calls, in its own thread.

    Attributes
    ----------
    on_end
        Called with the name and the exit code of a program that ended by itself, or that was killed because it sent no
        reports.
    on_last_report
        Called with the name and the last report of a program that ended in one of these ways.
    on_refusal
        Called with the name of a program that will never start with these settings.
    """

    on_end: Callable[[str, int], None]
    on_last_report: Callable[[str, WorkerReport], None]
    on_refusal: Callable[[str], None]


class Keeper:
    """A program that is started again whenever it ends, until :meth:`end`.

    Parameters
    ----------
    program
        Program to run.
    backoff
        Waiting times before a restart.
    stopping
        Set before :meth:`end`: nothing is started after that.
    callbacks
        Functions to call when the program ends.
    """

    def __init__(self, program: Program, backoff: Backoff, stopping: threading.Event, callbacks: Callbacks) -> None:
        self._program = program
        self._backoff = backoff
        self._stopping = stopping
        self._callbacks = callbacks
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._reader: HeartbeatReader | None = None
        self._fell_silent = False
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {program.name}", daemon=True)
        self._restarts = 0
        self._last_end: str | None = None
        self._deadline = 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._program.name}: {self._state()}, {self._restarts} restarts>"

    def begin(self) -> None:
        """Start the program, and raise ``ProgramMissing`` if it does not exist."""
        self._child = self._spawn()
        self._thread.start()

    def end(self) -> None:
        """Ask the program to end, and return immediately."""
        with self._lock:  # no child is being started meanwhile
            child = self._child
        self._deadline = time.monotonic() + self._program.stop_within
        if child is not None:
            child.signal(signal.SIGTERM)

    def join(self) -> None:
        """Wait for the end of the program, and kill it after its time limit."""
        if not self._thread.is_alive():
            return
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        with self._lock:
            child = self._child
        if child is not None:
            logger.warning("%s did not end within %g s: killed", self._program.name, self._program.stop_within)
            child.kill()
        self._thread.join()

    def status(self) -> Status:
        """Return the state of the program."""
        with self._lock:
            child, reader = self._child, self._reader
        pid = child.pid if child else None
        status = Status(self._program.name, self._state(), pid, self._restarts, self._last_end)
        if child is None or reader is None:
            return status
        return replace(status, report=reader.report, silence_s=time.monotonic() - reader.received_at)

    def _state(self) -> State:
        if not self._thread.is_alive():
            return "ended"
        return "running" if self._child else "waiting"

    def _spawn(self) -> Child:
        program = self._program
        with ExitStack() as stack:
            output = None
            if program.log is not None:
                program.log.parent.mkdir(parents=True, exist_ok=True)
                output = stack.enter_context(program.log.open("ab"))
            if program.silent_s is None:
                child = Child(program.argv, env=program.env, output=output)
            else:
                child = self._spawn_with_heartbeat(program.silent_s, output)
        logger.info("%s started (process %d)", program.name, child.pid)
        return child

    def _spawn_with_heartbeat(self, silent_s: float, output: IO[bytes] | None) -> Child:
        spawned: list[Child] = []
        reader = HeartbeatReader(self._program.name, silent_s, lambda: self._end_silence(spawned[0], silent_s))
        env = {**self._program.env, VARIABLE: str(reader.child_end)}
        try:
            child = Child(self._program.argv, env=env, output=output, pass_fds=[reader.child_end])
        except BaseException:
            reader.give_up()
            raise
        spawned.append(child)
        self._fell_silent, self._reader = False, reader
        reader.hand_over()
        return child

    def _end_silence(self, child: Child, silent_s: float) -> None:
        logger.error("%s has sent no heartbeat for %g s: killed", self._program.name, silent_s)
        self._fell_silent = True
        child.kill()

    def _keep(self) -> None:
        early_ends = 0
        child = self._child
        while not self._stopping.is_set():
            lived, code = 0.0, None
            if child is not None:
                lived, code = self._await_end(child)
                if self._stopping.is_set():
                    return
                self._report_end(code)
            if code == MISTAKE and lived < REFUSED_WITHIN_S and self._restarts == 0:
                logger.error("%s refused to start", self._program.name)
                self._callbacks.on_refusal(self._program.name)
                return
            early_ends = 1 if lived >= self._backoff.healthy_after else early_ends + 1
            delay = self._backoff.delay(early_ends)
            logger.log(
                logging.ERROR if early_ends >= CRASH_LOOP else logging.WARNING,
                "%s ended after %.1f s (%s), %s; starting it again in %.1f s",
                self._program.name, lived, self._last_end,
                "once" if early_ends == 1 else f"{early_ends} times in a row", delay,
            )  # fmt: skip
            child = self._restart(delay)

    def _await_end(self, child: Child) -> tuple[float, int]:
        began = time.monotonic()
        code = child.wait()
        self._last_end = "no heartbeat" if self._fell_silent else why_ended(code)
        with self._lock:
            self._child = None
        return time.monotonic() - began, code

    def _report_end(self, code: int) -> None:
        if self._reader is not None and self._reader.report is not None:
            self._callbacks.on_last_report(self._program.name, self._reader.report)
        self._callbacks.on_end(self._program.name, STALLED if self._fell_silent else code)

    def _restart(self, delay: float) -> Child | None:
        if self._stopping.wait(delay):
            return None
        with self._lock:
            if self._stopping.is_set():
                return None
            self._restarts += 1
            try:
                self._child = self._spawn()
            except (
                OSError,
                PerennialError,
            ) as error:  # no memory, or no program: counts as an early end
                self._last_end = f"not started: {error}"
            return self._child
