"""States that the code before this one has written, brought into today's shape before they are read.

Works on plain lists, as msgpack gives them, and knows nothing of today's structs: what stood in schema 1 never changes
again. Whoever changes the shape of a state raises ``state.SCHEMA``, moves what was here to the past, and puts here how
the last one becomes the new one.

Schema 1
    The facts' last entry, at 30, was a map from an id's 8 bytes to when it was folded, oldest first, at most 5,000;
    there were no facts of the last hours behind it. A partition's memo was the bare msgpack of its struct.
"""

from __future__ import annotations

from typing import Any

import msgspec

from models.units import DAY, HOUR

SCHEMA = 1
"""The one schema before today's that is read."""

HORIZON = 48 * HOUR
"""Ids were forgotten when they were older than this."""

_IDS = 30
_REMEMBERED = 5_000
_AHEAD = DAY
"""So far ahead of its arrival an event's time could be; schema 1 did not keep it."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


def upgraded(body: bytes | memoryview) -> bytes:
    """Body of a state as it is written today, of one in schema 1.

    Parameters
    ----------
    body
        What stands behind the header.

    Raises
    ------
    ValueError
        It is no state of schema 1.
    """
    facts, ledger = _decoder.decode(body)
    if len(facts) != _IDS + 1:
        raise ValueError(f"facts of schema 1 have {_IDS + 1} entries, not {len(facts)}")
    facts[_IDS] = _seen_ids(facts[_IDS])
    facts.append(None)
    return _encoder.encode([facts, ledger])


def _seen_ids(seen: dict[bytes, int]) -> list[Any]:
    marks: list[int] = []
    hour = -1
    for folded in seen.values():
        if folded // HOUR > hour:
            hour = folded // HOUR
            marks += (0, 0)
        marks[-2] += 1
        marks[-1] = max(marks[-1], folded + _AHEAD)
    # Who had as many as were kept may have had more: what is as old as the oldest of them is refused.
    floor = min(seen.values()) if len(seen) >= _REMEMBERED else 0
    return [floor, marks, b"".join(seen)]
