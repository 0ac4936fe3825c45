"""Processes of a round: they start together, restart immediately when they end, and wake up after a stall.

A life is one run of a process, from its start to its end.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from stream.processes.child import Child
from tests.chaos.faults import Fault, happened
from tests.chaos.lives import Absence, Life, ProcessNote, now_ms, read_notes
from tests.support.paths import ROOT

Lives = tuple[tuple[Fault, ...], ...]
_STOP_WITHIN_S = 15.0


@dataclass
class Member:
    """One process and its successors.

    Attributes
    ----------
    name
        Name of the process, such as ``fold-0``.
    argv
        Arguments after ``python -m``.
    lives
        Faults of each later life.
    leaving
        Whether the process is not restarted after its end.
    dismissed
        Whether the round itself ends the process. Then its exit code does not matter.
    life
        The current or last life.
    """

    name: str
    argv: tuple[str, ...]
    lives: list[tuple[Fault, ...]]
    child: Child | None = None
    leaving: bool = False
    dismissed: bool = False
    life: Life | None = None
    keeper: asyncio.Task[None] | None = field(default=None, repr=False)


class Crew:
    """Supervisor of the members; use it with ``async with``.

    Parameters
    ----------
    environment
        Environment of every process.
    folder
        Folder of their logs and of the journal of faults.
    stall_s
        How long a stopped process stays stopped, seconds.
    on_awake
        Called when a stopped process continues, with its name.

    Attributes
    ----------
    away
        Periods in which members were absent.
    exits
        Number of exits that the round did not cause, by exit code.
    lives
        All lives, ordered by their start.
    """

    def __init__(
        self, environment: Mapping[str, str], folder: Path, *, stall_s: float, on_awake: Callable[[str], None]
    ) -> None:
        self._folder = folder
        self._stall_s = stall_s
        self._on_awake = on_awake
        self._members: dict[str, Member] = {}
        self._waker: asyncio.Task[None] | None = None
        self._threads = ThreadPoolExecutor(max_workers=32, thread_name_prefix="keeper")
        self._environment = {**environment, "CHAOS_JOURNAL": str(self.journal), "PYTHONPATH": str(ROOT)}
        self.away: list[Absence] = []
        self.exits: Counter[int] = Counter()
        self.lives: list[Life] = []

    @property
    def journal(self) -> Path:
        """File in which faults are recorded as they happen."""
        return self._folder / "journal"

    @property
    def notes(self) -> list[ProcessNote]:
        """Notes that processes have written so far."""
        return read_notes(self._folder / "notes")

    async def __aenter__(self) -> Self:
        self._waker = asyncio.create_task(self._wake())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self, name: str, argv: tuple[str, ...], lives: Lives = ()) -> None:
        """Start a process and keep it running; ``lives`` are its faults, life by life."""
        member = self._members[name] = Member(name, argv, list(lives))
        self._spawn(member)
        member.keeper = asyncio.create_task(self._keep(member), name=f"keeper of {name}")

    def signal(self, name: str, number: signal.Signals, *, leaving: bool = False) -> bool:
        """Send a signal, and return whether a process received it; with ``leaving``, the process is not restarted."""
        member = self._members[name]
        member.leaving |= leaving
        if member.child is None or member.life is None:
            return False
        if number == signal.SIGTERM and not _is_stopped(member.child.pid):
            member.life.asked = member.life.asked or now_ms()
        member.child.signal(number)
        return True

    def stopped(self) -> list[str]:
        """Return the names of the processes that are stopped (SIGSTOP) now."""
        return [m.name for m in self._members.values() if m.child is not None and _is_stopped(m.child.pid)]

    async def stop(self) -> None:
        """End all processes, including stopped ones."""
        await self.dismiss()
        if self._waker is not None:
            self._waker.cancel()
            await asyncio.wait([self._waker])
            self._waker = None
        self._threads.shutdown(wait=False)

    async def dismiss(self, role: str = "") -> None:
        """End all processes, or all of a role, including stopped ones; none is restarted."""
        members = [member for member in self._members.values() if member.name.startswith(role)]
        keepers = [member.keeper for member in members if member.keeper]
        for member in members:
            member.dismissed = True
            self.signal(member.name, signal.SIGTERM)
            self.signal(member.name, signal.SIGCONT)
        if keepers:
            _, late = await asyncio.wait(keepers, timeout=_STOP_WITHIN_S)
            for member in members:
                if member.child is not None:
                    await asyncio.get_running_loop().run_in_executor(self._threads, member.child.kill)
            if late:
                await asyncio.wait(late)

    def met(self) -> list[tuple[str, str]]:
        """Return each fault that a process has acted on, with the name of the process."""
        return [(life.name, str(deed.fault)) for deed in happened(self.journal) for life in self._of(deed.pid)]

    def deeds(self) -> Counter[str]:
        """Count how often each fault was acted on."""
        return Counter(f"{deed.fault.action}@{deed.fault.point}" for deed in happened(self.journal))

    def _of(self, pid: int) -> list[Life]:
        return [life for life in self.lives if life.pid == pid][-1:]

    def _spawn(self, member: Member) -> None:
        faults = member.lives.pop(0) if member.lives else ()
        environment = {**self._environment, "CHAOS_FAULTS": " ".join(map(str, faults))}
        with (self._folder / f"{member.name}.log").open("ab") as log:
            member.child = Child((sys.executable, "-m", *member.argv), env=environment, output=log)
        member.life = Life(member.name, member.child.pid, now_ms(), faults)
        self.lives.append(member.life)

    async def _keep(self, member: Member) -> None:
        loop = asyncio.get_running_loop()
        while member.child is not None:
            code = await loop.run_in_executor(self._threads, member.child.wait)
            member.child = None
            self._on_exit(member, code)
            if member.dismissed:
                return
            self.exits[code] += 1
            away = Absence(member.name, now_ms())
            self.away.append(away)
            if not member.leaving:
                self._spawn(member)
                away.end = now_ms()

    def _note_stall(self, name: str, interval: Absence) -> None:
        life = self._members[name].life
        assert life is not None
        life.stalls.append(interval)

    def _on_exit(self, member: Member, code: int) -> None:
        life = member.life
        assert life is not None
        life.end, life.code = now_ms(), code
        mine = [deed for deed in happened(self.journal) if deed.pid == life.pid]
        for deed in mine:
            if deed.fault.action == "terminate":
                life.asked = min(life.asked or deed.at, deed.at)
        left = tuple(fault for fault in life.faults if fault not in [deed.fault for deed in mine])
        if left:
            member.lives.insert(0, left)  # another fault ended this life first: the next life gets the others

    async def _wake(self) -> None:
        since: dict[str, tuple[float, Absence]] = {}
        while True:
            for name in self.stopped():
                if name not in since:
                    interval = Absence(name, now_ms() - 100, stalled=True)
                    self.away.append(interval)
                    self._note_stall(name, interval)
                    since[name] = (time.monotonic(), interval)
                elif time.monotonic() - since[name][0] >= self._stall_s:
                    self.signal(name, signal.SIGCONT)
                    since.pop(name)[1].end = now_ms()
                    self._on_awake(name)
            await asyncio.sleep(0.05)  # poll: the kernel reports a stop only to waitpid, which the keeper already uses


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return False
