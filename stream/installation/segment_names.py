"""Checks of segment names in rules, because a rule with a misspelt name would never be triggered."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

import msgspec

from models.configuration.compiled import Configuration
from models.learned_names import LEARNED_NAMES, may_be_learned
from models.spelling import did_you_mean
from stream.cluster.connection import Connection
from stream.log.versions import newest_use, read_uses

SEGMENTS = "segments"
MAX_NAMES = 100
"""Maximum number of segments by rule that a note lists."""


def notes(configuration: Configuration, known: Collection[str] | None) -> Iterator[str]:
    """Yield possible mistakes in the name of a segment that a rule waits for.

    Parameters
    ----------
    configuration
        Configuration with the rules.
    known
        Names in the version that is in use; ``None`` if it is not known, or if there is none yet.

    Yields
    ------
    str
        One sentence for each rule whose segment never exists, or is known not to be in use now.
    """
    waiting = [rule for rule in configuration.rules if rule.when.kind == "entered_segment"]
    if not waiting:
        return
    by_rule = dict.fromkeys(segment.name for segment in configuration.segments)
    for rule in waiting:
        name = rule.when.name
        begins = f"rule {rule.name} waits for the segment {name!r}"
        if name in by_rule:
            continue
        if not may_be_learned(name):
            possible = [
                *islice(by_rule, MAX_NAMES),
                *(known or ()),
                *(n for n in LEARNED_NAMES if n not in (known or ())),
            ]
            hint = did_you_mean(name, possible)
            yield f"{begins}, but no segment ever has this name{hint}; names: {', '.join(possible)}"
        elif known is not None and name not in known:
            yield f"{begins}, which no user is in now; segments in use: {', '.join(known)}"


async def names_in_use(connection: Connection) -> tuple[str, ...] | None:
    """Return the names in the newest version of the segments; ``None`` if there is none yet."""
    newest = newest_use(await read_uses(connection, SEGMENTS))
    return None if newest is None else msgspec.json.decode(newest.content, type=_Names).names


class _Names(msgspec.Struct):
    names: tuple[str, ...]
