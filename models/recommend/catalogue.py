"""The catalogue: items that may be recommended, read from the topic ``items``.

``perennial import items`` writes that topic.
"""

from __future__ import annotations

import msgspec

from models.errors import StateMismatch

IMPORTED_KEY = b"\x00imported"
"""Key of the record that says that a catalogue was imported; it stays even if all items are withdrawn later."""


class Item(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One item of the catalogue; the value of a record of ``items``, whose key is the item's id.

    Attributes
    ----------
    id
        Id of the item; events use the same id.
    title
        Name for people.
    price
        Price of one piece, micros.
    categories
        Categories, the most specific one last.
    stock
        Number of pieces; ``None`` is unknown, 0 is out of stock.
    """

    id: str
    title: str = ""
    price: int | None = None
    categories: tuple[str, ...] = ()
    stock: int | None = None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Item)


def encode_item(item: Item) -> bytes:
    """Return the JSON of an item, which is its value in the topic ``items``."""
    return _encoder.encode(item)


class Catalogue:
    """The items that are for sale.

    Before a catalogue is imported, every item that events name is for sale. Afterwards an item is for sale only if the
    catalogue lists it and it is not out of stock. So a withdrawn item does not come back, even after compaction has
    removed its tombstone.

    Attributes
    ----------
    revision
        Number that grows with every change. A value derived from the catalogue is valid for one revision.

    Examples
    --------
    >>> catalogue = Catalogue()
    >>> catalogue.sells("mug")
    True
    >>> catalogue.put(Item(id="pot", stock=3)); catalogue.put(Item(id="pan", stock=0))
    >>> [catalogue.sells(item) for item in ("mug", "pot", "pan")]
    [False, True, False]
    >>> catalogue.withdraw("pot")
    >>> catalogue.sells("pot")
    False
    """

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._imported = False
        self.revision = 0

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        """Show the number of items and the revision."""
        return f"Catalogue(items={len(self)}, imported={self._imported}, revision={self.revision})"

    def copy(self) -> Catalogue:
        """Return a copy, whose changes do not affect this catalogue."""
        other = Catalogue()
        other._items, other._imported, other.revision = self._items.copy(), self._imported, self.revision
        return other

    def get(self, item_id: str) -> Item | None:
        """Return the item with an id, or ``None``."""
        return self._items.get(item_id)

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all listed items, in or out of stock, in the order in which they were first listed."""
        return tuple(self._items)

    @property
    def imported(self) -> bool:
        """Whether a catalogue was imported, so that only listed items are for sale."""
        return self._imported

    def put(self, item: Item) -> None:
        """Add or change an item."""
        self._imported = True
        if self._items.get(item.id) != item:
            self._items[item.id] = item
            self.revision += 1

    def withdraw(self, item_id: str) -> None:
        """Remove an item."""
        self._imported = True
        self._items.pop(item_id, None)
        self.revision += 1

    def apply(self, key: bytes, value: bytes | None) -> None:
        """Apply one record of ``items``.

        Raises
        ------
        msgspec.DecodeError
            The value is not an item.
        StateMismatch
            The key is a control key that this code does not know.
        """
        if key == IMPORTED_KEY:
            self._imported = True
            self.revision += 1
        elif key.startswith(b"\x00"):
            raise StateMismatch("catalogue", 2, 1)
        elif value is None:
            self.withdraw(key.decode())
        else:
            self.put(_decoder.decode(value))

    def sells(self, item_id: str) -> bool:
        """Return whether an item may be recommended."""
        if not self._imported:
            return True
        item = self._items.get(item_id)
        return item is not None and (item.stock is None or item.stock > 0)
