"""Whether the segments that rules wait for can ever be there: a name that is misspelt triggers nothing, for ever."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from models.configuration.compiled import Configuration
from stream.cluster.connection import Connection
from stream.log.versions import newest_use, read_uses
from stream.settings.sources import did_you_mean

SEGMENTS = "segments"


def notes(configuration: Configuration, known: Collection[str] | None) -> Iterator[str]:
    """Say of each rule that waits for a segment what may be wrong with the segment's name.

    Parameters
    ----------
    configuration
        With the rules.
    known
        Names in the version that is in use; ``None`` where that is not known, or where there is none yet.

    Yields
    ------
    str
        One sentence a rule; nothing for a name that is in use, or may be given some day.
    """
    waiting = [rule for rule in configuration.rules if rule.when.kind == "entered_segment"]
    if not waiting:
        return
    from models.learning.naming import ARCHETYPES  # brings scipy: a second, for those who wait for a segment

    for rule in waiting:
        name = rule.when.name
        begins = f"rule {rule.name} waits for the segment {name!r}"
        # where there are more segments than names, further ones are numbered
        if name.rstrip("0123456789").strip() not in ARCHETYPES:
            possible = [*(known or ()), *(n for n in ARCHETYPES if n not in (known or ()))]
            yield f"{begins}, but none is ever called so{did_you_mean(name, possible)}; names: {', '.join(possible)}"
        elif known is not None and name not in known:
            yield f"{begins}, which no user is in now; segments in use: {', '.join(known)}"


async def names_in_use(connection: Connection) -> tuple[str, ...] | None:
    """Names of the newest version of the segments; ``None`` where there is none yet."""
    newest = newest_use(await read_uses(connection, SEGMENTS))
    return None if newest is None else msgspec.json.decode(newest.content, type=_Names).names


class _Names(msgspec.Struct):
    names: tuple[str, ...]
