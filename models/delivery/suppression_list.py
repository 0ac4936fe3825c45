"""The suppression list in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from models.configuration.categories import Category
from models.delivery.address_hashes import AddressHashes
from models.delivery.suppression import ANNOUNCED, LOST, REASONS, SCOPES, decode_entry, parse_key
from models.delivery.suppression_rules import Suppression, SuppressionMark, stops
from models.events import Channel

_KEPT_BYTES = 16
"""Bytes of a hash that are kept in memory: enough to distinguish billions of addresses."""


class SuppressionList:
    """All entries in memory, about 150 bytes each.

    Parameters
    ----------
    hashes
        Hashes with the installation's secrets.

    Attributes
    ----------
    hashes
        See the parameter.
    announced
        Whether the newest secret is announced in the list.
    """

    def __init__(self, hashes: AddressHashes) -> None:
        self.hashes = hashes
        self._unknown: Counter[str] = Counter()
        self._lost: set[str] = set()
        self.announced = False
        self._marks: dict[bytes, int] = {}
        self._of_unknown: set[bytes] = set()
        self._reasons: dict[str, None] = dict.fromkeys(REASONS)  # and those that only a newer release knows

    def __len__(self) -> int:
        return len(self._marks)

    def __repr__(self) -> str:
        return f"<SuppressionList of {len(self)} entries, unknown={self.unknown}>"

    @property
    def unknown(self) -> dict[str, int]:
        """Number of entries for each secret that this process does not have, by the secret's id.

        Such a secret is not among ``hashes``, and was not given up.
        """
        return {secret: count for secret, count in self._unknown.items() if secret not in self._lost}

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Apply one record of ``suppressions``; a record without a value removes the entry.

        Raises
        ------
        ValueError, msgspec.DecodeError
            The record is not an entry.
        """
        parsed = parse_key(key)
        if parsed.reason == LOST:
            (self._lost.discard if value is None else self._lost.add)(parsed.secret)
            return
        if parsed.secret not in self.hashes.ids:
            self._note_unknown(parsed.secret, key, removed=value is None)
            return
        if parsed.reason == ANNOUNCED:
            self.announced = self.announced or parsed.secret == self.hashes.newest_id
            return
        kept = bytes.fromhex(parsed.hash)[:_KEPT_BYTES] + parsed.reason.encode()
        if value is None:
            self._marks.pop(kept, None)
        else:
            entry = decode_entry(value)
            self._reasons[parsed.reason] = None
            self._marks[kept] = entry.at << 2 | SCOPES.index(entry.scope)

    def marks(self, channel: Channel, address: str) -> dict[str, SuppressionMark]:
        """Return the marks of an address by reason. If several secrets have an entry, the latest one counts."""
        return self._marks_of(self.hashes.digests(channel, address))

    def marks_of_hash(self, address: str) -> dict[str, SuppressionMark]:
        """Return the marks of a hashed address, as :meth:`AddressHashes.newest` returns it.

        Entries of the same address that were made with another secret are not found.
        """
        return self._marks_of([bytes.fromhex(parse_key(f"{address}:bounce".encode()).hash)])

    def stops(self, channel: Channel, address: str, category: Category, *, asks: bool = False) -> Suppression | None:
        """Return the reason why a message is stopped, as :func:`~models.delivery.suppression_rules.stops` does."""
        return stops(self.marks(channel, address), category, asks=asks)

    def _marks_of(self, digests: Iterable[bytes]) -> dict[str, SuppressionMark]:
        found: dict[str, SuppressionMark] = {}
        for digest in digests:
            for reason in self._reasons:
                packed = self._marks.get(digest[:_KEPT_BYTES] + reason.encode())
                if packed is not None and (reason not in found or packed >> 2 > found[reason].at):
                    found[reason] = SuppressionMark(SCOPES[packed & 3], packed >> 2)
        return found

    def _note_unknown(self, secret: str, key: bytes, *, removed: bool) -> None:
        if removed and key in self._of_unknown:
            self._of_unknown.discard(key)
            self._unknown -= Counter([secret])
        elif not removed and key not in self._of_unknown:
            self._of_unknown.add(key)
            self._unknown[secret] += 1
