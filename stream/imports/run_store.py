"""The records of the runs of ``perennial import``."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models.batch import Output
from models.errors import PerennialError
from models.imports.runs import TOPIC, ImportRun, decode_run, encode_run
from stream.cluster.compacted import read_compacted
from stream.cluster.connection import Connection
from stream.log.event_log import EventLog

_SILENCE_S = 20.0


class UnknownRun(PerennialError):
    """An id of no run, or of several: `perennial import list` shows them all."""


async def read_runs(connection: Connection) -> list[ImportRun]:
    """Return all runs, oldest first.

    Raises
    ------
    BrokerUnavailable
        The broker does not answer.
    """
    found = []
    for value in (await read_compacted(connection, TOPIC, 0, silence_s=_SILENCE_S)).values():
        try:
            found.append(decode_run(value))
        except msgspec.DecodeError:  # another program has written it
            continue
    return sorted(found, key=lambda run: (run.at, run.id))


async def write_run(log: EventLog, run: ImportRun) -> None:
    """Write the record of a run, and return when it is acknowledged."""
    await log.write([Output(TOPIC, run.id.encode(), encode_run(run))])


def run_named(runs: Iterable[ImportRun], identity: str) -> ImportRun:
    """Return the run of an id, or of its beginning.

    Raises
    ------
    UnknownRun
        No run has it, or several have.
    """
    known = list(runs)
    exact = [run for run in known if run.id == identity]
    found = exact or [run for run in known if run.id.startswith(identity)]
    if len(found) == 1:
        return found[0]
    allowed = ", ".join(run.id for run in (found or known)[-5:]) or "no run yet"
    which = "several runs begin with" if found else "no run has"
    raise UnknownRun(f"found {identity!r}, which {which}; allowed: {allowed}")
