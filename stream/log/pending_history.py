"""The clauses whose history was announced and is not complete, in the topic ``versions``.

The note is written before the history is announced in the log. So a command that was stopped in between can be run
again, and it brings the history of these clauses, too.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from models.learning.publication import Publication
from stream.cluster.connection import Connection
from stream.cluster.writer import Writer
from stream.log.versions import newest_use, read_uses

HISTORY = "history"
"""Key of the note in ``versions``."""


async def read_pending(connection: Connection) -> frozenset[int]:
    """Return the numbers of the clauses."""
    newest = newest_use(await read_uses(connection, HISTORY))
    return frozenset() if newest is None else msgspec.json.decode(newest.content, type=frozenset[int])


async def note_pending(connection: Connection, clauses: Iterable[int]) -> None:
    """Write down the numbers of the clauses; none if all histories are complete.

    Raises
    ------
    BrokerUnavailable
        The broker did not acknowledge the record.
    """
    newest = newest_use(await read_uses(connection, HISTORY))
    content = msgspec.json.encode(sorted(clauses))
    writer = Writer(connection)
    try:
        await writer.send([Publication(1 if newest is None else newest.version + 1, content).output(HISTORY)])
    finally:
        await writer.close()
