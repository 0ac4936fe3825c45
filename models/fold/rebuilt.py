"""A rebuilt user: facts recomputed from the log by new code, beside the ledger that is only ever carried over."""

from __future__ import annotations

from models.batch import Restored
from models.fold.memo import encode_memo, read_memo
from models.profile.state import Customer, Ledger, pack, unpack


def carry_over(rebuilt: bytes | None, current: bytes | None) -> bytes:
    """Put recomputed facts into the place of those in use.

    Parameters
    ----------
    rebuilt
        The user as a fold of the whole log left them; ``None`` where it knows nobody of this name.
    current
        The user as they stand at the same position; ``None`` where the code in use has kept nothing of them.

    Returns
    -------
    bytes
        The first one's facts and the second one's ledger; what is missing is empty.

    Raises
    ------
    StateMismatch
        One of them was written by a schema that this code does not read.

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
        return pack(Customer(facts=fresh.facts, ledger=Ledger(), seen=fresh.seen))
    known = unpack(current)
    return pack(Customer(facts=fresh.facts, ledger=known.ledger, seen=known.seen))


def carry_memo(rebuilt: bytes, current: bytes) -> bytes:
    """What stands beside the position once rebuilt users are in use: that of the partition as it stands.

    But for what is refused as too late: ids that a rebuilt user has forgotten must not be taken for new ones.

    Parameters
    ----------
    rebuilt, current
        Memos of the two folds.

    Raises
    ------
    StateMismatch
        One of them was written by a schema that this code does not read.
    """
    memo = read_memo(Restored(memo=current))
    memo.floor = max(memo.floor, read_memo(Restored(memo=rebuilt)).floor)
    return encode_memo(memo)
