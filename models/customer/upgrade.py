"""States that the code before this one has written, brought into today's shape before they are read.

Works on plain lists, as msgpack gives them, and knows nothing of today's structs: what stood in schema 2 never changes
again. Whoever changes the shape of a state raises ``state.SCHEMA``, moves what was here to the past, and puts here how
the last one becomes the new one.

Schema 2
    The facts' newest touches, at 23, were a list of (item, weight, time), in the order of time. The ledger's open
    examples, at 7, were a list of (time, row, fingerprint, risk, version, whether they came back); a row had 64 bits a
    feature. No state was squeezed. A partition's memo was what it is today.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec

from models.customer.open_examples import pack_row

SCHEMA = 2
"""The one schema before today's that is read."""

_FACTS, _RECENT = 32, 23
_LEDGER, _EXAMPLES = 12, 7

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


def upgraded(body: bytes | memoryview) -> bytes:
    """Body of a state as it is written today, of one in schema 2.

    Parameters
    ----------
    body
        What stands behind the header.

    Raises
    ------
    ValueError
        It is no state of schema 2.
    """
    facts, ledger = _decoder.decode(body)
    if (len(facts), len(ledger)) != (_FACTS, _LEDGER):
        raise ValueError(
            f"facts and ledger of schema 2 have {_FACTS} and {_LEDGER} entries, not {len(facts)} and {len(ledger)}"
        )
    facts[_RECENT] = _columns(facts[_RECENT])
    ledger[_EXAMPLES] = [[_rounded(example) for example in ledger[_EXAMPLES]]]
    return _encoder.encode([facts, ledger])


def _columns(touches: list[list[Any]]) -> list[Any]:
    times = [at for _, _, at in touches]
    weights = [int(weight) if float(weight).is_integer() else weight for _, weight, _ in touches]
    gaps = [after - before for before, after in pairwise(times)]
    return [times[-1] if times else 0, [item for item, _, _ in touches], weights, gaps]


def _rounded(example: list[Any]) -> list[Any]:
    at, row, *others = example
    return [at, pack_row(row), *others]
