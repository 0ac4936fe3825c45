"""Merge a rebuilt state into the one in use: facts are recomputed by new code, the ledger is carried over."""

from __future__ import annotations

import msgspec

from models.batch import Restored
from models.fold.memo import encode_memo, read_memo
from models.profile.codec import SCHEMA, pack, unpack
from models.profile.ledger import Ledger
from models.profile.links import ProfileIdentity
from models.profile.state import Customer


def carry_over(rebuilt: bytes | None, current: bytes | None, schema: int = SCHEMA) -> bytes:
    """Replace the facts in use by recomputed ones.

    Parameters
    ----------
    rebuilt
        The user after a fold of the whole log; ``None`` if that fold does not know the user.
    current
        The user in use at the same position; ``None`` if the code in use has stored nothing.
    schema
        Schema of the result.

    Returns
    -------
    bytes
        The facts of ``rebuilt``, and the ledger and the links of ``current``. A missing half is empty. The numbers of
        events that came through a link are those of ``rebuilt``.

    Raises
    ------
    StateMismatch
        One of them was written under a schema that this code cannot read.

    Examples
    --------
    >>> from models.profile.state import Facts
    >>> wrong, right = Customer(Facts(support=2), Ledger(risk=0.3), 5), Customer(Facts(support=1), Ledger(), 5)
    >>> user = unpack(carry_over(pack(right), pack(wrong)))
    >>> user.facts.support, user.ledger.risk, user.seen
    (1, 0.3, 5)
    """
    fresh = Customer() if rebuilt is None else unpack(rebuilt)
    if current is None:
        return pack(Customer(facts=fresh.facts, ledger=Ledger(), seen=fresh.seen, identity=fresh.identity), schema)
    known = unpack(current)
    _count_again(known.identity, fresh.identity)
    return pack(Customer(facts=fresh.facts, ledger=known.ledger, seen=known.seen, identity=known.identity), schema)


def _count_again(known: ProfileIdentity | None, fresh: ProfileIdentity | None) -> None:
    """Set the numbers of events that came through the links in use, in place."""
    if known is None or fresh is None:
        return
    for anonymous, link in known.links.items():
        again = fresh.links.get(anonymous)
        if again is not None and again.part == link.part:
            link.events, link.forwarded = again.events, again.forwarded
    owner, again_owner = known.owner, fresh.owner
    if owner is not None and again_owner is not None and again_owner.merge == owner.merge:
        known.owner = msgspec.structs.replace(owner, forwarded=again_owner.forwarded)


def carry_memo(rebuilt: bytes, current: bytes) -> bytes:
    """Merge the memos after a rebuild: the memo in use, with the larger floor of both.

    With a smaller floor, a repeated event whose id the rebuilt state has forgotten would count again.

    Parameters
    ----------
    rebuilt, current
        Memo of the fold of the whole log, and memo in use.

    Raises
    ------
    StateMismatch
        One of them was written under a schema that this code cannot read.
    """
    memo = read_memo(Restored(memo=current))
    memo.floor = max(memo.floor, read_memo(Restored(memo=rebuilt)).floor)
    return encode_memo(memo)
