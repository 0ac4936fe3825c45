"""The history of new clauses, brought into the log of persons whose profiles are in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from models.batch import Record
from models.configuration.compiled import decode
from models.fold.prospects import ConditionsPlan
from models.log import BringHistory, Use
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog
from stream.rebuild import history
from stream.rebuild.history import History
from tests.support.persons import Persons


class _Quiet:
    """A receiver that ignores the progress."""

    def planned(self, records: int) -> None: ...

    def folded(self, partition: int, position: int, now: int) -> None: ...


class InMemory(EventLog):
    """The log of persons, in which other things happen between two writes.

    Parameters
    ----------
    persons
        The persons.
    meanwhile
        Called before each write and each reading.
    """

    def __init__(self, persons: Persons, meanwhile: Callable[[], None]) -> None:
        super().__init__(Connection("127.0.0.1:9"), len(persons.logs))
        self.persons = persons
        self.written = 0
        self._meanwhile = meanwhile

    async def write_at(self, records: Sequence[tuple[int, bytes, bytes]]) -> list[Any]:
        self._meanwhile()
        self.written += len(records)
        self.persons.write_at(records)
        return []

    async def read_log(
        self, connection: Connection, partition: int, begin: int, end: int
    ) -> AsyncIterator[Sequence[Record]]:
        del connection
        yield list(self.persons.logs[partition][begin:end])

    async def read_logs(
        self, connection: Connection, begins: Sequence[int], is_full: Callable[[int], bool]
    ) -> AsyncIterator[tuple[int, Sequence[Record]]]:
        del connection
        self._meanwhile()
        logs, places = [list(log) for log in self.persons.logs], list(begins)
        while any(place < len(log) for place, log in zip(places, logs, strict=True)):
            for partition, log in enumerate(logs):
                if places[partition] < len(log) and not is_full(partition):
                    records = log[places[partition] : places[partition] + 5]
                    places[partition] += len(records)
                    yield partition, records


def nothing() -> None:
    """Let nothing happen meanwhile."""


async def bring_history(
    persons: Persons, wanted: Use, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], None] = nothing
) -> InMemory:
    """Put a configuration into use, and bring the history of its clauses into the log.

    Parameters
    ----------
    persons
        The log and its folds.
    wanted
        The configuration; all clauses of it are new.
    monkeypatch
        The fixture; the history reads the log in memory from now on.
    meanwhile
        Called before each write and each reading.
    """
    plan = ConditionsPlan(decode(bytes(wanted.content)), None)
    persons.control(wanted, BringHistory(tuple(sorted(plan.clauses))))
    log = InMemory(persons, meanwhile)
    monkeypatch.setattr(history, "read_log", log.read_log)
    monkeypatch.setattr(history, "read_logs", log.read_logs)
    monkeypatch.setattr(history, "WAIT_S", 0.0)
    monkeypatch.setattr(history, "MAX_USERS_PER_WRITE", 1)
    brought = History(Connection("127.0.0.1:9"), len(persons.logs), plan, _Quiet())
    await brought.bring(log)
    await brought.complete(log)
    return log
