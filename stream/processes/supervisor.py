"""Runs child processes and keeps them running: restarts with back-off, ends them in order, leaves none behind.

One thread per child waits for its end, so nothing polls. A child ends with this process
(``stream/processes/child.py``), and a child that is a supervisor takes its own along.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self

from models.errors import PerennialError
from stream.processes.child import Child
from stream.processes.exits import MISTAKE, STALLED, why_ended
from stream.processes.heartbeat import VARIABLE, Listener
from stream.processes.stop import StopRequest, stop_requested

logger = logging.getLogger(__name__)

REFUSED_WITHIN_S = 60.0
"""A first run that ends with the exit code of a mistake within this time refused to start; a busy machine is slow."""
CRASH_LOOP = 5
"""From so many early ends in a row on, each is logged as an error."""


@dataclass(frozen=True, slots=True)
class Program:
    """What to run and keep running.

    Attributes
    ----------
    name
        For people and logs, unique in its supervisor.
    argv
        Program and arguments.
    env
        Added to this process's environment.
    log
        File that its output is appended to; ``None``: this process's output.
    stop_within
        Seconds from SIGTERM to SIGKILL.
    silent_s
        The child reports every second (``stream/processes/heartbeat.py``). It is killed and started again after this
        many seconds without a report. ``None``: it sends no reports.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    stop_within: float = 10.0
    silent_s: float | None = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before a restart.

    Attributes
    ----------
    first
        Seconds after the first early end.
    factor
        Growth with each further one.
    longest
        Seconds at most.
    healthy_after
        A run of so many seconds was no early end: the count begins anew.

    Examples
    --------
    >>> [Backoff(first=0.5, factor=2, longest=10).delay(n) for n in (1, 2, 3, 9)]
    [0.5, 1.0, 2.0, 10.0]
    """

    first: float = 0.1
    factor: float = 2.0
    longest: float = 30.0
    healthy_after: float = 10.0

    def delay(self, early_ends: int) -> float:
        """Seconds to wait after so many early ends in a row, at least one."""
        return float(min(self.longest, self.first * self.factor ** min(early_ends - 1, 64)))


@dataclass(frozen=True, slots=True)
class Status:
    """How a program is doing.

    Attributes
    ----------
    name
        Of the program.
    state
        ``waiting`` is the time before a restart; ``ended`` is for good.
    pid
        While it runs.
    restarts
        How often it was started again.
    last_end
        Why it ended last, in words.
    report
        What it told last in this life, where it tells.
    silence_s
        Seconds since then; since its start where it has told nothing.
    """

    name: str
    state: Literal["running", "waiting", "ended"]
    pid: int | None
    restarts: int
    last_end: str | None
    report: Mapping[str, Any] | None = None
    silence_s: float | None = None


ABOVE = "refused to start; what it said stands above"
"""Who reads on above finds the reason."""


class Misconfigured(PerennialError):
    """A program refused to start because of a mistake of the user's; it has said which.

    Parameters
    ----------
    name
        Of the program.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} {ABOVE}")


class Supervisor:
    """Keeps programs running from :meth:`start` (or ``with``) to :meth:`stop`.

    Parameters
    ----------
    programs
        Started in this order, ended together.
    backoff
        For restarts.
    on_end
        Called with the program's name and exit code each time one ended by itself, or was killed because it told
        nothing any more (:data:`stream.processes.exits.STALLED`), in a thread of its own.
    on_last_words
        Called then with the last report of one that tells, in another thread: nobody waits for it.

    Attributes
    ----------
    over
        Set when it was stopped, or when a program refused to start; whoever runs it waits for this.
    refused
        Name of the program that ended at once with the exit code of a mistake (2), if any.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        backoff: Backoff = Backoff(),
        on_end: Callable[[str, int], None] | None = None,
        on_last_words: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        names = [program.name for program in programs]
        assert len(set(names)) == len(names), f"programs share a name: {names}"
        self._backoff = backoff
        self._on_end = on_end
        self._on_last_words = on_last_words
        self._stopping = threading.Event()
        self.over = StopRequest()
        self.refused: str | None = None
        self._keepers = [_Keeper(program, self) for program in programs]

    def start(self) -> Self:
        """Start everything; returns at once. Raises ``ProgramMissing`` where there is no such program."""
        try:
            for keeper in self._keepers:
                keeper.begin()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End everything: SIGTERM to all, SIGKILL to those that take longer than their ``stop_within``."""
        self._stopping.set()
        for keeper in self._keepers:
            keeper.end()
        for keeper in self._keepers:
            keeper.join()
        self.over.set()

    def statuses(self) -> list[Status]:
        """How each program is doing, in the order given."""
        return [keeper.status() for keeper in self._keepers]

    def ended(self, name: str, code: int) -> None:
        """Hear of a program that ended by itself."""
        if self._on_end is None:
            return
        try:
            self._on_end(name, code)
        except Exception:  # a listener's mistake must not leave a program unkept
            logger.exception("the listener for the end of %s failed", name)

    def remember(self, name: str, report: Mapping[str, Any]) -> None:
        """Hear of the last report of a program that ended by itself."""
        if self._on_last_words is not None:
            threading.Thread(target=self._on_last_words, args=(report,), name=f"heir of {name}", daemon=True).start()

    def refuse(self, name: str) -> None:
        """Hear of a program that will never start with these settings."""
        self.refused = self.refused or name
        self.over.set()

    @property
    def backoff(self) -> Backoff:
        """How long to wait before a restart."""
        return self._backoff

    @property
    def stopping(self) -> threading.Event:
        """Set from the moment it is told to stop."""
        return self._stopping

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Keeper:
    """One program and the thread that waits for its end."""

    def __init__(self, program: Program, owner: Supervisor) -> None:
        self._program = program
        self._owner = owner
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._listener: Listener | None = None
        self._fell_silent = False
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {program.name}", daemon=True)
        self._restarts = 0
        self._last_end: str | None = None
        self._deadline = 0.0

    def begin(self) -> None:
        self._child = self._spawn()
        self._thread.start()

    def end(self) -> None:
        with self._lock:  # no child is started behind our back
            child = self._child
        self._deadline = time.monotonic() + self._program.stop_within
        if child is not None:
            child.signal(signal.SIGTERM)

    def join(self) -> None:
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
        with self._lock:
            child, listener = self._child, self._listener
        alive = self._thread.is_alive()
        state: Literal["running", "waiting", "ended"] = "ended" if not alive else "running" if child else "waiting"
        status = Status(self._program.name, state, child.pid if child else None, self._restarts, self._last_end)
        if child is None or listener is None:
            return status
        return replace(status, report=listener.report, silence_s=time.monotonic() - listener.heard_at)

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
                child = self._spawn_and_listen(program.silent_s, output)
        logger.info("%s started (process %d)", program.name, child.pid)
        return child

    def _spawn_and_listen(self, silent_s: float, output: IO[bytes] | None) -> Child:
        spawned: list[Child] = []
        listener = Listener(self._program.name, silent_s, lambda: self._end_silence(spawned[0], silent_s))
        env = {**self._program.env, VARIABLE: str(listener.child_end)}
        try:
            child = Child(self._program.argv, env=env, output=output, pass_fds=[listener.child_end])
        except BaseException:
            listener.give_up()
            raise
        spawned.append(child)
        self._fell_silent, self._listener = False, listener
        listener.hand_over()
        return child

    def _end_silence(self, child: Child, silent_s: float) -> None:
        logger.error("%s has shown no sign of life for %g s: killed", self._program.name, silent_s)
        self._fell_silent = True
        child.kill()

    def _keep(self) -> None:
        early_ends = 0
        child = self._child
        while not self._owner.stopping.is_set():
            lived, code = 0.0, None
            if child is not None:
                lived, code = self._await_end(child)
                if self._owner.stopping.is_set():
                    return
                if self._listener is not None and self._listener.report is not None:
                    self._owner.remember(self._program.name, self._listener.report)
                self._owner.ended(self._program.name, STALLED if self._fell_silent else code)
            healthy = lived >= self._owner.backoff.healthy_after
            if code == MISTAKE and lived < REFUSED_WITHIN_S and self._restarts == 0:
                logger.error("%s refused to start", self._program.name)
                self._owner.refuse(self._program.name)
                return
            early_ends = 1 if healthy else early_ends + 1
            delay = self._owner.backoff.delay(early_ends)
            logger.log(
                logging.ERROR if early_ends >= CRASH_LOOP else logging.WARNING,
                "%s ended after %.1f s (%s), %s; starting it again in %.1f s",
                self._program.name, lived, self._last_end,
                "once" if early_ends == 1 else f"{early_ends} times in a row", delay,
            )  # fmt: skip
            child = self._again(delay)

    def _await_end(self, child: Child) -> tuple[float, int]:
        began = time.monotonic()
        code = child.wait()
        self._last_end = "no sign of life" if self._fell_silent else why_ended(code)
        with self._lock:
            self._child = None
        return time.monotonic() - began, code

    def _again(self, delay: float) -> Child | None:
        if self._owner.stopping.wait(delay):
            return None
        with self._lock:
            if self._owner.stopping.is_set():
                return None
            self._restarts += 1
            try:
                self._child = self._spawn()
            except (OSError, PerennialError) as error:  # no memory, no program: tried again like an early end
                self._last_end = f"not started: {error}"
            return self._child


def run_until_stopped(supervisor: Supervisor) -> None:
    """Keep everything running until SIGTERM or SIGINT.

    Raises
    ------
    Misconfigured
        Where a program refused to start.
    """
    with stop_requested(supervisor.over), supervisor:
        supervisor.over.wait()
    if supervisor.refused is not None:
        raise Misconfigured(supervisor.refused)
