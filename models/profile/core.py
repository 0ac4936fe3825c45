"""The core of a user: what a daily assessment reads or changes of the facts, and the numbers of the features.

A stored user is a core, the ledger, and all other facts. An assessment decodes the core and copies the other facts as
bytes. An event needs nearly all facts, so :func:`full_facts` puts them together for it.
"""

from __future__ import annotations

from array import array
from copy import copy
from typing import Any

import msgspec

from models.profile.numbers import COUNT, DECAYED, FIRST_SEEN, GAP, RATING_SUM, Numbers, numbers_of
from models.profile.rest import Rest
from models.profile.seen_ids import SeenIds
from models.profile.state import Facts, Window

_BYTES = 8 * (COUNT - 1)
_DECAYED_BYTES = 8 * (DECAYED - 1)
_ZERO = b"\0"
_NOW = bytes(8)
_NO_IDS = SeenIds()


def numbers_from(block: bytes) -> Numbers:
    """Return the numbers of a user whose block has no time and no zeros at its end."""
    numbers = array("d", _NOW)
    numbers.frombytes(block.ljust(_BYTES, _ZERO))
    return numbers


class CoreFacts(msgspec.Struct, array_like=True, eq=False, gc=False):
    """The facts of a user without those that only events and decisions need.

    Any other fact can be read, too, but each read decodes the other facts again.

    Attributes
    ----------
    identified, last_seen, window, seen_ids
        See :class:`~models.profile.state.Facts`.
    block
        The numbers of the features except the time, see :mod:`models.profile.numbers`, without zeros at the end.
    others
        The other facts: encoded, or for a dormant user a :class:`~models.profile.rest.Rest`.
    """

    identified: bool
    last_seen: int
    window: Window | None
    seen_ids: SeenIds
    block: bytes
    others: msgspec.Raw

    def __getattr__(self, name: str) -> Any:
        """Return a fact that is not in the core."""
        if name not in Facts.__struct_fields__:
            raise AttributeError(name)
        return getattr(full_facts(self), name)

    def numbers(self) -> Numbers:
        """Return the numbers of the user, as :func:`~models.profile.numbers.numbers_of` computes them from facts."""
        return numbers_from(self.block)


class FullCore(msgspec.Struct, array_like=True, gc=False):
    """A :class:`CoreFacts` whose other facts are decoded, too."""

    identified: bool
    last_seen: int
    window: Window | None
    seen_ids: SeenIds
    block: bytes
    others: Facts


_decode_facts = msgspec.msgpack.Decoder(Facts).decode


def core_of(facts: Facts, numbers: Numbers | None = None) -> FullCore:
    """Return the core of a user with these facts, and a copy of the other facts.

    Parameters
    ----------
    facts
        All facts of the user.
    numbers
        The user's numbers, if the facts do not have the newest ones yet.
    """
    block = (numbers or numbers_of(facts))[1:].tobytes().rstrip(_ZERO)
    others = copy(facts)
    others.window, others.seen_ids, others.decayed = None, _NO_IDS, b""
    others.first_seen = others.last_seen = 0
    others.gap = others.rating_sum = 0.0
    return FullCore(facts.identified, facts.last_seen, facts.window, facts.seen_ids, block, others)


def put_together(core: CoreFacts | FullCore, others: Facts, numbers: Numbers) -> Facts:
    """Put the facts of a core into the other facts of the user, in place."""
    others.window, others.seen_ids, others.last_seen = core.window, core.seen_ids, core.last_seen
    others.first_seen, others.gap = int(numbers[FIRST_SEEN]), numbers[GAP]
    others.rating_sum, others.decayed = numbers[RATING_SUM], core.block[_DECAYED_BYTES:]
    return others


def full_facts(core: CoreFacts) -> Facts:
    """Decode the other facts, and return all facts of the user."""
    others: object = core.others
    facts = _decode_facts(others.parts.facts if isinstance(others, Rest) else core.others)
    return put_together(core, facts, core.numbers())
