"""The compressed rest of a dormant user. Reading a part decompresses it, so most daily assessments never do."""

from __future__ import annotations

import msgspec

from models.profile import compression


class Parts(msgspec.Struct, array_like=True, gc=False):
    """The parts of the rest, each encoded.

    Attributes
    ----------
    facts
        The facts, without those of the :class:`~models.profile.core.CoreFacts`.
    examples, sent, withheld, pending, fired
        As in the ledger.
    """

    facts: msgspec.Raw
    examples: msgspec.Raw
    sent: msgspec.Raw
    withheld: msgspec.Raw
    pending: msgspec.Raw
    fired: msgspec.Raw


_decode = msgspec.msgpack.Decoder(Parts).decode


class Rest:
    """The rest of one user; it is never changed.

    Parameters
    ----------
    stored
        The compressed bytes.
    dictionary
        Number of the dictionary that compressed them.
    numbers
        The encoded numbers of the features, which are stored beside the rest.
    """

    __slots__ = ("_parts", "dictionary", "numbers", "stored")

    def __init__(self, stored: bytes, dictionary: int, numbers: bytes) -> None:
        self.stored = stored
        self.dictionary = dictionary
        self.numbers = numbers
        self._parts: Parts | None = None

    def __repr__(self) -> str:
        """Show the size, and the number of the dictionary."""
        return f"Rest({len(self.stored)} bytes, dictionary={self.dictionary})"

    @property
    def parts(self) -> Parts:
        """The parts of the rest."""
        if self._parts is None:
            self._parts = _decode(compression.decompress(self.stored, self.dictionary))
        return self._parts
