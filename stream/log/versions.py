"""Versions of the configuration and of the models in the log: publish one, and find the newest.

A new version is written to ``versions`` first, and then to every partition of ``events``. From that place in the log
on, the fold uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from models.configuration.compiled import Configuration, encode
from models.errors import PerennialError
from models.learning.publication import TOPIC, Publication
from models.log import EVENTS, Use, decode_control
from stream.cluster.compacted import read_key
from stream.cluster.connection import Connection
from stream.cluster.writer import Writer

NAME = "configuration"
"""Key of the configuration in ``versions``."""
MAX_ATTEMPTS = 20
"""Maximum number of versions that are tried if other publishers take each of them first."""


class Contended(PerennialError):
    """Too many publishers of a configuration at the same time: decide which one publishes, then try again."""


class Applied(NamedTuple):
    """Result of publishing a configuration.

    Attributes
    ----------
    version
        Version of the configuration that is now in use.
    changed
        Whether this is a new version. The content that is already in use keeps its version, and is only sent again.
    """

    version: int
    changed: bool


async def publish(connection: Connection, wanted: Configuration, then: Sequence[tuple[bytes, bytes]] = ()) -> Applied:
    """Put a configuration into use in every partition.

    A configuration that was replaced earlier, and is published again, gets a new version. ``versions`` is written
    first, then every partition of ``events``. After a failure in between, the same call completes the work, because the
    newest content keeps its version. The fold ignores a version that it already has. If two publishers take the same
    version at the same time, it belongs to the one whose record is first in ``versions``. The other publisher takes the
    next version.

    Parameters
    ----------
    connection
        The cluster.
    wanted
        The configuration.
    then
        Control records, as keys and values, that follow the configuration in every partition without a record between.

    Raises
    ------
    BrokerUnavailable
        The broker did not acknowledge the records: publish again.
    Contended
        Another publisher was first at every attempt.
    """
    content = encode(wanted)
    writer = Writer(connection)
    try:
        applied = await _take_version(connection, writer, content)
        await writer.send_everywhere(EVENTS, [Publication(applied.version, content).broadcast(NAME), *then])
    finally:
        await writer.close()
    return applied


async def _take_version(connection: Connection, writer: Writer, content: bytes) -> Applied:
    uses = await read_uses(connection)
    newest = newest_use(uses)
    if newest is not None and _is_same(newest.content, content):
        return Applied(newest.version, changed=False)
    for _ in range(MAX_ATTEMPTS):
        newest = newest_use(uses)
        version = 1 if newest is None else newest.version + 1
        await writer.send([Publication(version, content).output(NAME)])
        uses = await read_uses(connection)
        first = next((use for use in uses if use.version == version), None)
        if first is not None and _is_same(first.content, content):
            return Applied(version, changed=True)
    raise Contended(f"other publishers took {MAX_ATTEMPTS} versions first; nothing was applied")


async def read_uses(connection: Connection, name: str = NAME) -> list[Use]:
    """Read all versions of a name, such as the configuration, that the topic ``versions`` has, in the topic's order."""
    controls = [decode_control(value) for value in await read_key(connection, TOPIC, 0, name.encode())]
    return [control for control in controls if isinstance(control, Use)]


def newest_use(uses: Sequence[Use]) -> Use | None:
    """Return the version in use: the first record with the highest number."""
    return max(uses, key=lambda use: use.version, default=None)


def _is_same(one: bytes | msgspec.Raw, other: bytes) -> bool:
    return bool(msgspec.json.decode(one) == msgspec.json.decode(other))
