"""A supervisor: it keeps child processes running, restarts them with back-off, and stops them at the end.

One thread per child waits for its end, so nothing polls. A child ends with this process
(``stream/processes/child.py``). If the child is a supervisor, its own children end with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from models.errors import PerennialError
from stream.processes.error_lines import SEE_ABOVE
from stream.processes.keeper import Callbacks, Keeper
from stream.processes.programs import Backoff, Program, Status
from stream.processes.stop import StopRequest, stop_requested
from stream.processes.worker_report import WorkerReport

logger = logging.getLogger(__name__)


class Misconfigured(PerennialError):
    """A program that refused to start because of a user's mistake, which it has printed.

    Parameters
    ----------
    name
        Name of the program.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"{name} {SEE_ABOVE}")


class Supervisor:
    """Programs that are kept running from :meth:`start` (or ``with``) to :meth:`stop`.

    Parameters
    ----------
    programs
        Programs to run. They are started in this order and ended together.
    backoff
        Waiting times before restarts; by default those of :class:`Backoff`.
    on_end
        Called in a separate thread when a program ended by itself, with its name and exit code. The code is
        :data:`stream.processes.exits.STALLED` if it was killed because it sent no more reports.
    on_last_report
        Called at the same time with the last report of a program that sends reports, in another thread. Nothing waits
        for the end of this call.

    Attributes
    ----------
    over
        Set when the supervisor was stopped, or when a program refused to start.
    refused
        Name of the program that ended soon after its start with the exit code of a mistake (2), if any.
    """

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        backoff: Backoff | None = None,
        on_end: Callable[[str, int], None] | None = None,
        on_last_report: Callable[[WorkerReport], None] | None = None,
    ) -> None:
        names = [program.name for program in programs]
        assert len(set(names)) == len(names), f"programs share a name: {names}"
        self._on_end = on_end
        self._on_last_report = on_last_report
        self._stopping = threading.Event()
        self.over = StopRequest()
        self.refused: str | None = None
        callbacks = Callbacks(self._ended, self._pass_last_report, self._refuse)
        self._keepers = [Keeper(program, backoff or Backoff(), self._stopping, callbacks) for program in programs]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._keepers}>"

    def start(self) -> Self:
        """Start everything, and return immediately; raise ``ProgramMissing`` if a program does not exist."""
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
        """Return the state of each program, in the order given."""
        return [keeper.status() for keeper in self._keepers]

    def _ended(self, name: str, code: int) -> None:
        if self._on_end is None:
            return
        try:
            self._on_end(name, code)
        except Exception:  # an error of the callback must not leave a program without its keeper
            logger.exception("the callback for the end of %s failed", name)

    def _pass_last_report(self, name: str, report: WorkerReport) -> None:
        if self._on_last_report is None:
            return
        threading.Thread(
            target=self._on_last_report, args=(report,), name=f"last report of {name}", daemon=True
        ).start()

    def _refuse(self, name: str) -> None:
        self.refused = self.refused or name
        self.over.set()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def run_until_stopped(supervisor: Supervisor) -> None:
    """Keep everything running until SIGTERM or SIGINT.

    Raises
    ------
    Misconfigured
        A program refused to start.
    """
    with stop_requested(supervisor.over), supervisor:
        supervisor.over.wait()
    if supervisor.refused is not None:
        raise Misconfigured(supervisor.refused)
