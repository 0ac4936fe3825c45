"""The stored form of a dormant user: numbers as integers, and everything that no daily assessment needs compressed."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import msgspec

from models.profile import compression, numbers_at_rest
from models.profile.core import CoreFacts, FullCore
from models.profile.lazy_fields import encoded
from models.profile.ledger import Ledger, Timer
from models.profile.rest import Rest
from models.profile.seen_ids import SeenIds
from models.profile.state import Window

_LAZY = ("examples", "sent", "withheld", "pending", "fired")
"""Fields of the ledger that are in the rest."""
_NAMES = ("assess", "label")
"""Names of timers that nearly every user has; each is stored as its place here."""
_CODES: dict[str, int | str] = {name: code for code, name in enumerate(_NAMES)}


class _DormantUser(msgspec.Struct, array_like=True, gc=False):
    """A dormant user after the header.

    Attributes
    ----------
    idle
        Time from ``Facts.last_seen`` to ``Ledger.assessed_at``, milliseconds.
    risk, risk_version, segment, segment_version
        See :class:`~models.profile.ledger.Ledger`.
    risk_age
        How long before ``assessed_at`` the risk was computed, milliseconds.
    timers
        Names of the timers, see ``_NAMES``; the due time of the first one is in the header.
    waits
        Time from each timer to the next one, milliseconds.
    identified, last_seen, window
        See :class:`~models.profile.core.CoreFacts`.
    seen_ids
        As there; ``None`` if there are none.
    numbers
        The numbers of the features, see :mod:`models.profile.numbers_at_rest`.
    rest, dictionary
        Everything else, see :class:`~models.profile.rest.Rest`.
    """

    idle: int
    risk: float | None
    risk_age: int
    risk_version: int
    segment: str | None
    segment_version: int
    timers: list[int | str]
    waits: list[int]
    identified: bool
    last_seen: int
    window: Window | None
    seen_ids: SeenIds | None
    numbers: bytes
    rest: bytes
    dictionary: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_DormantUser).decode


def encode(core: CoreFacts | FullCore, ledger: Ledger) -> bytes:
    """Encode a dormant user, without the header."""
    assessed_at, last, timers, ids = ledger.assessed_at, core.last_seen, ledger.timers, core.seen_ids
    rest: object = core.others
    return _encode(
        (
            assessed_at - last,
            ledger.risk,
            assessed_at - ledger.risk_at,
            ledger.risk_version,
            ledger.segment,
            ledger.segment_version,
            [_CODES.get(timer.name, timer.name) for timer in timers],
            [after.due - before.due for before, after in pairwise(timers)],
            core.identified,
            last,
            core.window,
            ids if ids.digests or ids.floor else None,
            rest.numbers if isinstance(rest, Rest) else numbers_at_rest.encode(core.block),
            _compressed(core, ledger),
            compression.DICTIONARY,
        )
    )


def decode(packed: bytes | memoryview, due: int) -> tuple[CoreFacts, Ledger]:
    """Decode a dormant user; the rest is decompressed when it is read.

    Parameters
    ----------
    packed
        The stored bytes after the header.
    due
        Due time of the first timer.
    """
    stored = _decode(packed)
    rest, last = Rest(stored.rest, stored.dictionary, stored.numbers), stored.last_seen
    block = numbers_at_rest.decode(stored.numbers, last)
    core = CoreFacts(
        stored.identified, last, stored.window, stored.seen_ids or SeenIds(), block, cast("msgspec.Raw", rest)
    )
    assessed_at, lazy = last + stored.idle, cast("list[object]", rest)
    timers, waits = [], stored.waits
    for place, name in enumerate(stored.timers):
        due += waits[place - 1] if place else 0
        timers.append(Timer(due, name if isinstance(name, str) else _NAMES[name]))
    ledger = Ledger(
        timers,
        stored.segment,
        stored.segment_version,
        stored.risk,
        stored.risk_version,
        assessed_at - stored.risk_age,
        assessed_at,
        lazy,  # type: ignore[arg-type]  # lazy fields may hold what they are decoded from
        lazy,  # type: ignore[arg-type]
        lazy,  # type: ignore[arg-type]
        lazy,  # type: ignore[arg-type]
        lazy,  # type: ignore[arg-type]
    )
    return core, ledger


def let_go(ledger: Ledger) -> None:
    """Replace the rest in the ledger by its encoded parts, before all facts are decoded."""
    for name in _LAZY:
        rest = encoded(ledger, name)
        if isinstance(rest, Rest):
            setattr(ledger, name, getattr(rest.parts, name))


def rest_of(core: CoreFacts | FullCore, ledger: Ledger) -> bytes:
    """Encode the rest of a user, not compressed."""
    others: object = core.others
    facts = others.parts.facts if isinstance(others, Rest) else others
    return _encode((facts, *map(_part, [encoded(ledger, name) for name in _LAZY], _LAZY)))


def _part(field: object, name: str) -> object:
    return getattr(field.parts, name) if isinstance(field, Rest) else field


def _compressed(core: CoreFacts | FullCore, ledger: Ledger) -> bytes:
    """Compress the rest; a rest that nothing has changed is copied."""
    rest: object = core.others
    is_current = isinstance(rest, Rest) and rest.dictionary == compression.DICTIONARY
    if isinstance(rest, Rest) and is_current and all(encoded(ledger, name) is rest for name in _LAZY):
        return rest.stored
    return compression.compress(rest_of(core, ledger))
